//! The terminal while it shows a sensor: somebody asks, somebody draws, and whatever happens the terminal is left as it was found.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread;
use std::time::Duration;

use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::Show;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use signal_hook::consts::{SIGINT, SIGTERM};

use super::draw::Screen;
use super::looker::Looker;
use super::page::Listed;
use super::snapshot::View;
use crate::cli::Failure;
use crate::cli::client::AskError;
use crate::logs::wants_colours;

/// How long a key, a signal or an answer may wait to be seen.
const LOOK_EVERY: Duration = Duration::from_millis(50);

type Answer = Result<View, AskError>;

/// Shows the sensor until somebody has seen enough.
pub(super) fn show(looker: Looker, first: View, interval: Duration) -> Result<(), Failure> {
    let terminal_failed = |error: io::Error| Failure::operation(format!("the terminal: {error}"));
    let asked_to_end = listen().map_err(terminal_failed)?;
    let (tell, answers) = channel();
    thread::Builder::new()
        .name("looker".to_owned())
        .spawn(move || look_on(looker, interval, &tell))
        .map_err(|error| Failure::operation(format!("a thread: {error}")))?;
    let mut screen = Screen {
        view: first,
        away: None,
        is_paused: false,
        shows_help: false,
        listed: Listed::Sources,
        has_colours: wants_colours(),
    };
    let shown =
        taken_over().and_then(|_left_at_the_end| watch(&mut screen, &answers, &asked_to_end));
    shown.map_err(terminal_failed)
}

/// SIGTERM and SIGINT ask for the end, however often they come: to end at once would leave the terminal as it is.
fn listen() -> io::Result<Arc<AtomicBool>> {
    let asked = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&asked))?;
    }
    Ok(asked)
}

/// Asks again and again, until nobody listens.
fn look_on(mut looker: Looker, interval: Duration, tell: &Sender<Answer>) {
    loop {
        thread::sleep(interval);
        if tell.send(looker.look()).is_err() {
            return;
        }
    }
}

/// Gives the terminal back when it is dropped.
struct TakenOver;

impl Drop for TakenOver {
    fn drop(&mut self) {
        give_back();
    }
}

/// Raw, and on its other screen; also a panic gives it back, before it is told of.
fn taken_over() -> io::Result<TakenOver> {
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        give_back();
        tell(panic);
    }));
    let taken = TakenOver;
    enable_raw_mode()?;
    execute!(io::stdout(), EnterAlternateScreen)?;
    Ok(taken)
}

/// Where the terminal takes nothing any more there is nothing to give back.
fn give_back() {
    drop(disable_raw_mode());
    drop(execute!(io::stdout(), LeaveAlternateScreen, Show));
}

fn watch(
    screen: &mut Screen,
    answers: &Receiver<Answer>,
    asked_to_end: &AtomicBool,
) -> io::Result<()> {
    let mut terminal = Terminal::new(CrosstermBackend::new(io::stdout()))?;
    terminal.draw(|frame| screen.draw(frame))?;
    while !asked_to_end.load(Ordering::Relaxed) {
        let mut is_old = false;
        while let Some(answer) = next(answers)? {
            is_old |= screen.take(answer);
        }
        if event::poll(LOOK_EVERY)? {
            match event::read()? {
                Event::Key(key) if key.kind == KeyEventKind::Press => match screen.press(key) {
                    Pressed::Quit => return Ok(()),
                    Pressed::Draw => is_old = true,
                    Pressed::Nothing => {}
                },
                Event::Resize(..) => is_old = true,
                _ => {}
            }
        }
        if is_old {
            terminal.draw(|frame| screen.draw(frame))?;
        }
    }
    Ok(())
}

/// What the looker has seen, if it has.
fn next(answers: &Receiver<Answer>) -> io::Result<Option<Answer>> {
    match answers.try_recv() {
        Ok(answer) => Ok(Some(answer)),
        Err(TryRecvError::Empty) => Ok(None),
        Err(TryRecvError::Disconnected) => Err(io::Error::other("nobody asks the sensor any more")),
    }
}

/// What a key comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pressed {
    Quit,
    Draw,
    Nothing,
}

impl Screen {
    /// Takes what was answered. Returns whether the screen shows something else now.
    fn take(&mut self, answer: Answer) -> bool {
        if self.is_paused {
            return false;
        }
        match answer {
            Ok(view) => (self.view, self.away) = (view, None),
            Err(error) => self.away = Some(error.to_string()),
        }
        true
    }

    fn press(&mut self, key: KeyEvent) -> Pressed {
        let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('c' | 'd') if is_control => return Pressed::Quit,
            KeyCode::Char('l') if is_control => {}
            KeyCode::Esc if self.shows_help => self.shows_help = false,
            KeyCode::Char('q' | 'Q') | KeyCode::Esc => return Pressed::Quit,
            KeyCode::Char('p' | 'P' | ' ') => self.is_paused = !self.is_paused,
            KeyCode::Char('s' | 'S') => {
                self.listed = match self.listed {
                    Listed::Sources => Listed::Rules,
                    Listed::Rules => Listed::Sources,
                }
            }
            KeyCode::Char('?' | 'h' | 'H') => self.shows_help = !self.shows_help,
            _ => return Pressed::Nothing,
        }
        Pressed::Draw
    }
}
