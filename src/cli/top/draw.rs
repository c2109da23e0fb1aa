//! The screen: panels side by side as far as there is room, what is wrong above them, keys below.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Clear, Paragraph, Wrap};

use super::page::{self, Listed, Mood, Panel};
use super::snapshot::View;

/// From so many columns on, four panels stand side by side.
const WIDE: u16 = 150;

/// Lines that what is wrong may take.
const STATE_LINES_MAX: u16 = 3;

/// What is on the screen.
#[derive(Clone, Debug)]
pub(super) struct Screen {
    pub(super) view: View,
    /// Why the sensor does not answer, where it does not.
    pub(super) away: Option<String>,
    pub(super) is_paused: bool,
    pub(super) shows_help: bool,
    pub(super) listed: Listed,
    /// Whether moods have colours.
    pub(super) has_colours: bool,
}

impl Screen {
    fn style(&self, mood: Mood) -> Style {
        let (colour, modifier) = match mood {
            Mood::Title => (None, Modifier::BOLD | Modifier::UNDERLINED),
            Mood::Plain => (None, Modifier::empty()),
            Mood::Good => (Some(Color::Green), Modifier::empty()),
            Mood::Warning => (Some(Color::Yellow), Modifier::empty()),
            Mood::Bad => (Some(Color::Red), Modifier::BOLD),
            Mood::Faint => (None, Modifier::DIM),
        };
        let style = Style::new().add_modifier(modifier);
        // What the sensor said before it went away is no news.
        let style = if self.away.is_some() { style.add_modifier(Modifier::DIM) } else { style };
        colour.filter(|_| self.has_colours).map_or(style, |colour| style.fg(colour))
    }

    /// How the sensor is; first of all, whether it is.
    fn state(&self) -> (String, Mood) {
        match &self.away {
            Some(reason) => {
                let since = self.view.at.get(11..19).unwrap_or_default();
                (
                    format!("AWAY. It is asked again; figures are those of {since} UTC. {reason}"),
                    Mood::Bad,
                )
            }
            None => (page::state(&self.view), page::of_status(&self.view.now.status)),
        }
    }

    pub(super) fn draw(&self, frame: &mut Frame<'_>) {
        let area = frame.area();
        let (state, mood) = self.state();
        let columns = usize::from(area.width.max(1));
        let lines = u16::try_from(state.chars().count().div_ceil(columns)).unwrap_or(u16::MAX);
        let [head, state_at, panels, lists, keys] = Layout::vertical([
            Constraint::Length(1),
            Constraint::Length(lines.clamp(1, STATE_LINES_MAX)),
            Constraint::Length(self.panels_height(area.width)),
            Constraint::Fill(1),
            Constraint::Length(1),
        ])
        .areas(area);
        frame.render_widget(
            Paragraph::new(page::head(&self.view)).style(self.style(Mood::Faint)),
            head,
        );
        // Whether it is away must not be dim.
        let style = Self { away: None, ..self.clone() }.style(mood);
        frame.render_widget(Paragraph::new(state).style(style).wrap(Wrap { trim: true }), state_at);
        self.draw_panels(frame, panels);
        let [left, right] = halves(lists);
        self.draw_panel(frame, &page::top(&self.view, self.listed), left);
        self.draw_panel(frame, &page::incidents(&self.view), right);
        let paused = if self.is_paused { "PAUSED  " } else { "" };
        let text = format!("{paused}q quit  p pause  s sources or rules  ? help");
        frame.render_widget(Paragraph::new(text).style(self.style(Mood::Faint)), keys);
        if self.shows_help {
            self.draw_help(frame, area);
        }
    }

    /// The panels of figures in columns, from the left.
    fn columns(&self, width: u16) -> Vec<Vec<Panel>> {
        let view = &self.view;
        let (traffic, verdicts, lost) =
            (page::traffic(view), page::verdicts(view), page::lost(view));
        let (latency, storing) = (page::latency(view), page::storing(view));
        if width >= WIDE {
            vec![vec![traffic], vec![verdicts], vec![lost], vec![latency, storing]]
        } else {
            vec![vec![traffic, lost], vec![verdicts, latency, storing]]
        }
    }

    fn panels_height(&self, width: u16) -> u16 {
        let heights = self.columns(width).into_iter();
        heights.map(|column| column.iter().map(Panel::height).sum()).max().unwrap_or(0)
    }

    fn draw_panels(&self, frame: &mut Frame<'_>, area: Rect) {
        let columns = self.columns(area.width);
        let rects =
            Layout::horizontal(columns.iter().map(|_| Constraint::Fill(1))).spacing(2).split(area);
        for (column, rect) in columns.iter().zip(rects.iter()) {
            let heights = column.iter().map(|panel| Constraint::Length(panel.height()));
            let places = Layout::vertical(heights).split(*rect);
            for (panel, place) in column.iter().zip(places.iter()) {
                self.draw_panel(frame, panel, *place);
            }
        }
    }

    fn draw_panel(&self, frame: &mut Frame<'_>, panel: &Panel, area: Rect) {
        let lines = panel.lines(area.width.into()).into_iter();
        let lines: Vec<Line<'_>> =
            lines.map(|(text, mood)| Line::styled(text, self.style(mood))).collect();
        frame.render_widget(Paragraph::new(lines), area);
    }

    fn draw_help(&self, frame: &mut Frame<'_>, area: Rect) {
        let width = HELP.lines().map(|line| line.chars().count()).max().unwrap_or(0);
        let [at] =
            Layout::horizontal([Constraint::Length(u16::try_from(width).unwrap_or(u16::MAX))])
                .flex(ratatui::layout::Flex::Center)
                .areas(area);
        let height = u16::try_from(HELP.lines().count()).unwrap_or(u16::MAX);
        let [at] = Layout::vertical([Constraint::Length(height)])
            .flex(ratatui::layout::Flex::Center)
            .areas(at);
        frame.render_widget(Clear, at);
        let style = Style::new().add_modifier(Modifier::REVERSED);
        frame.render_widget(Paragraph::new(HELP).style(style), at);
    }
}

fn halves(area: Rect) -> [Rect; 2] {
    Layout::horizontal([Constraint::Fill(1), Constraint::Fill(1)]).spacing(2).areas(area)
}

const HELP: &str = "
  q, Esc, Ctrl-C   quit
  p, space         hold what is shown, go on
  s                top sources, or top rules
  ?, h             this, and away with it

  A second: between the last two looks.
  Since start: of the sensor's run.
  -            : not measured.
  Lost: where, and of what. Unaccounted
  for: 0, or there is a bug of the sensor.

  Every figure is one of /metrics:
  docs/OPERATIONS.md says what to do.  
";
