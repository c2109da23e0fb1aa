use super::*;

#[test]
fn the_format_follows_what_is_asked_for() {
    let prometheus =
        "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1";
    for (accept, plain) in [
        (None, false),
        (Some("*/*"), false),
        (Some(prometheus), false),
        (Some("Application/OpenMetrics-Text"), false),
        (Some("text/plain;version=0.0.4;q=1,*/*;q=0.1"), true),
        (Some("text/html,application/xhtml+xml,*/*;q=0.8"), true),
    ] {
        assert_eq!(wants_plain_text(accept), plain, "{accept:?}");
    }
}

#[test]
fn the_older_format_calls_a_family_like_its_samples() {
    let open_metrics = "\
# HELP a_seconds Time.
# TYPE a_seconds counter
# UNIT a_seconds seconds
a_seconds_total{x=\"# TYPE\"} 1.5
# HELP b Facts.
# TYPE b info
b_info{v=\"1\"} 1
# HELP c How much.
# TYPE c gauge
c 2
# EOF
";
    let expected = "\
# HELP a_seconds_total Time.
# TYPE a_seconds_total counter
a_seconds_total{x=\"# TYPE\"} 1.5
# HELP b_info Facts.
# TYPE b_info gauge
b_info{v=\"1\"} 1
# HELP c How much.
# TYPE c gauge
c 2
";
    assert_eq!(plain::from_open_metrics(open_metrics), expected);
}
