use super::*;

fn digest(sequence: u64) -> Digest {
    Digest { sequence, marks: Marks::default(), ..Digest::turn(Timestamp::EPOCH, 0) }
}

fn finding(rule: u16) -> Findings {
    let mut findings = Findings { rule_count: 1, ..Findings::default() };
    findings.rules[0] = rule;
    findings
}

/// Every worker receives its turns, four packets each, and sends packet `n` to owner `n % workers`.
fn send_turns(mesh: &mut [Handover], turns: u64) {
    let workers = mesh.len();
    for turn in 0..turns {
        let receiver = &mut mesh[turn as usize % workers];
        for sequence in turn * 4..turn * 4 + 4 {
            let found =
                if sequence % 3 == 0 { finding(sequence as u16) } else { Findings::default() };
            receiver.put(sequence as usize % workers, digest(sequence), &found);
        }
        let handed = receiver.end_turn(Timestamp::from_secs(turn as i64));
        assert_eq!(handed, TurnHanded { packets: 4, ..TurnHanded::default() });
    }
}

#[test]
fn every_owner_gets_its_packets_in_the_order_of_their_frames() {
    for workers in [1, 2, 3, 4] {
        let mut mesh = mesh(workers, Order::Turns);
        send_turns(&mut mesh, 12);
        mesh.iter_mut().for_each(Handover::close);
        for (me, handover) in mesh.iter_mut().enumerate() {
            let mut turn = Gathered::new();
            let mut seen = Vec::new();
            while handover.gather(&mut turn) == Gather::Turn {
                let first = turn.ends().first().map(|end| end.number);
                assert_eq!(turn.received(), Timestamp::from_secs(first.unwrap() as i64));
                for (digest, findings) in turn.packets() {
                    let expected = if digest.sequence % 3 == 0 {
                        vec![digest.sequence as u16]
                    } else {
                        vec![]
                    };
                    assert_eq!(findings.rules(), expected, "findings stay with their packet");
                    seen.push(digest.sequence);
                }
            }
            let expected: Vec<u64> = (0..48).filter(|n| *n as usize % workers == me).collect();
            assert_eq!(seen, expected, "owner {me} of {workers}");
            assert_eq!(handover.gather(&mut turn), Gather::End);
        }
    }
}

#[test]
fn an_owner_waits_for_the_next_turn_while_later_ones_are_there() {
    let mut mesh = mesh(2, Order::Turns);
    let mut turn = Gathered::new();
    mesh[1].put(0, digest(5), &Findings::default());
    assert_eq!(mesh[1].end_turn(Timestamp::EPOCH).packets, 1);
    assert_eq!(mesh[0].gather(&mut turn), Gather::Waiting);
    assert_eq!(mesh[0].end_turn(Timestamp::EPOCH), TurnHanded::default());
    assert_eq!(mesh[0].gather(&mut turn), Gather::Turn);
    let end = |number, digests| TurnEnd { number, digests };
    assert_eq!(turn.ends(), [end(0, 0), end(1, 1)]);
    assert_eq!(turn.digests().len(), 1);
}

#[test]
fn turns_that_are_there_are_taken_together_as_far_as_the_largest_turn_goes() {
    let mut mesh = mesh(1, Order::Turns);
    let mut sequences = 0..;
    for turn in 0..5 {
        for sequence in sequences.by_ref().take(200) {
            mesh[0].put(0, digest(sequence), &finding(sequence as u16));
        }
        assert_eq!(mesh[0].end_turn(Timestamp::from_secs(turn)).packets, 200);
    }
    let mut turn = Gathered::new();
    let room = (turn.digests.capacity(), turn.findings.capacity());
    let mut seen = Vec::new();
    let mut ends = Vec::new();
    while mesh[0].gather(&mut turn) == Gather::Turn {
        let first = turn.ends()[0].number;
        assert_eq!(turn.received(), Timestamp::from_secs(first as i64), "of the first of them");
        ends.push(turn.ends().iter().map(|end| (end.number, end.digests)).collect::<Vec<_>>());
        seen.extend(turn.packets().map(|(digest, found)| (digest.sequence, found.rules()[0])));
    }
    let pair = |first| vec![(first, 200), (first + 1, 400)];
    assert_eq!(ends, [pair(0), pair(2), vec![(4, 200)]]);
    assert_eq!(seen, (0..1_000).map(|n| (n, n as u16)).collect::<Vec<_>>());
    assert_eq!((turn.digests.capacity(), turn.findings.capacity()), room, "nothing grew");
}

#[test]
fn a_turn_that_finds_no_room_is_lost_whole_and_counted() {
    let mut mesh = mesh(1, Order::Turns);
    let mut sent = 0;
    while mesh[0].has_room() {
        fill_a_turn(&mut mesh[0]);
        let handed = mesh[0].end_turn(Timestamp::EPOCH);
        assert_eq!(handed, TurnHanded { packets: TURN_FRAMES_MAX as u64, ..TurnHanded::default() });
        sent += handed.packets;
    }
    while mesh[0].outlets[0].digests.slots() > TURN_FRAMES_MAX {
        mesh[0].put(0, digest(0), &Findings::default());
        sent += mesh[0].end_turn(Timestamp::EPOCH).packets;
    }
    fill_a_turn(&mut mesh[0]);
    mesh[0].put(0, Digest { marks: Marks::TOWARDS, ..digest(0) }, &finding(1));
    let lost = TurnHanded {
        packets_lost: TURN_FRAMES_MAX as u64,
        towards_lost: 1,
        ..TurnHanded::default()
    };
    assert_eq!(mesh[0].end_turn(Timestamp::EPOCH), lost);

    let mut turn = Gathered::new();
    let mut came = 0;
    while mesh[0].gather(&mut turn) == Gather::Turn {
        came += turn.digests().len() as u64;
    }
    assert_eq!(came, sent);
}

fn fill_a_turn(handover: &mut Handover) {
    for sequence in 0..TURN_FRAMES_MAX as u64 {
        handover.put(0, digest(sequence), &finding(1));
    }
}
