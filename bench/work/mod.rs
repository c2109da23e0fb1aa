//! What is measured: each stage by itself, as turns that can be repeated. Whole turns are `inputs::turns`.

mod decode;
mod features;
mod forest;
mod intel;
mod reporting;
mod rules;
mod sources;
mod store;

/// Does the work of one turn.
pub(crate) type Turn = Box<dyn FnMut()>;

/// One stage on one kind of input.
pub(crate) struct Work {
    /// The stage, and what it is given.
    pub(crate) name: String,
    /// How many packets (rows, addresses, events) one turn has.
    pub(crate) packets: u64,
    /// Prepares it. Nothing of that is measured.
    pub(crate) prepare: Box<dyn Fn() -> Turn>,
}

impl Work {
    fn new(name: impl Into<String>, packets: usize, prepare: impl Fn() -> Turn + 'static) -> Self {
        Self { name: name.into(), packets: packets as u64, prepare: Box::new(prepare) }
    }
}

/// Everything there is to measure but whole turns, in the order in which a packet meets it.
pub(crate) fn all() -> Vec<Work> {
    [
        decode::works(),
        rules::works(),
        intel::works(),
        sources::works(),
        features::works(),
        forest::works(),
        reporting::works(),
        store::works(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
