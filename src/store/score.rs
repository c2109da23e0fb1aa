//! The threat score in a store: the single nearest to a hundredth of the weighted sum.

/// The threat score, 0 to 1, of a weighted sum.
pub(super) fn threat_score(total: f32) -> f32 {
    total / 100.0
}

/// The weighted sum of a stored threat score. Dividing by 100 maps a few neighbouring singles onto one: this is the roundest
/// of those that have exactly this threat score, so that 55 comes back as 55 and not as 54.999996.
pub(super) fn total(threat_score: f32) -> f32 {
    let near = threat_score * 100.0;
    [near, near.next_up(), near.next_down()]
        .into_iter()
        .filter(|total| (total / 100.0).to_bits() == threat_score.to_bits())
        .max_by_key(|total| total.to_bits().trailing_zeros())
        .unwrap_or(near)
}
