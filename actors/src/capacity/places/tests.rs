//! The bounds are kept, nobody waits in vain, and whoever came first of an owner goes first, whatever happens.

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;
use proptest::prelude::*;
use uuid::Uuid;

use super::*;

const OWNERS: u8 = 3;

fn chat(number: u8) -> ChatId {
    ChatId(Uuid::from_u128(u128::from(number) + 1))
}

fn at(moment: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::seconds(moment)
}

fn rank(moment: i64) -> Rank {
    Rank { is_new: true, since: at(moment) }
}

/// A chat's owner and kind are in its number, so that they never change.
fn claim(number: u8, turn_id: TurnId, rank: Rank) -> Claim {
    let kind = if number.is_multiple_of(2) { Kind::Root } else { Kind::Child };
    Claim { chat_id: chat(number), turn_id, owner: owner(number), kind, rank }
}

fn owner(number: u8) -> String {
    format!("owner {}", number / 2 % OWNERS)
}

fn bounded(root: usize, child: usize, node: usize) -> Places {
    Places::new(Bounds { root, child, node })
}

/// What a test knows of everybody who asked and did not leave: the claim, and whether it has its place.
fn everybody(places: &Places) -> Vec<(Claim, bool)> {
    places.entries.values().map(|entry| (entry.claim.clone(), entry.is_held)).collect()
}

fn of<'a>(all: &'a [(Claim, bool)], claim: &Claim, held: bool) -> impl Iterator<Item = &'a Claim> {
    let (owner, kind) = (claim.owner.clone(), claim.kind);
    let same = move |other: &&(Claim, bool)| other.0.owner == owner && other.0.kind == kind && other.1 == held;
    all.iter().filter(same).map(|(claim, _)| claim)
}

/// Judged from the claims alone, not from what `Places` counts.
fn judge(places: &Places) {
    let all = everybody(places);
    let in_all = all.iter().filter(|(_, held)| *held).count();
    assert!(places.bounds.node == 0 || in_all <= places.bounds.node, "{in_all} at work on the node");
    for (claim, is_held) in &all {
        let held = of(&all, claim, true).count();
        let bound = places.bounds.of(claim.kind);
        assert!(bound == 0 || held <= bound, "{held} {:?} turns of {} are at work", claim.kind, claim.owner);
        if *is_held {
            continue;
        }
        let room = has_room(bound, held) && has_room(places.bounds.node, in_all);
        assert!(!room || places.is_closed, "{claim:?} waits though there is room");
    }
    let count = |kind: Kind, held| all.iter().filter(|other| other.0.kind == kind && other.1 == held).count();
    let counted = |held| [count(Kind::Root, held), count(Kind::Child, held)];
    assert_eq!(places.figures(), (counted(true), counted(false)));
    let waiting: BTreeSet<String> =
        all.iter().filter(|(_, held)| !held).map(|(claim, _)| claim.owner.clone()).collect();
    assert_eq!(places.line.iter().cloned().collect::<BTreeSet<_>>(), waiting);
    assert_eq!(places.line.len(), waiting.len(), "an owner stands in line once");
}

/// Whoever was granted a place was first of their owner's kind among those who waited.
fn judge_order(before: &[(Claim, bool)], granted: &[ChatId], newcomer: Option<&Claim>) {
    let mut waiting: BTreeMap<(String, bool), BTreeSet<(Rank, ChatId)>> = BTreeMap::new();
    let claims = before.iter().filter(|(_, held)| !held).map(|(claim, _)| claim).chain(newcomer);
    for claim in claims.clone() {
        let line = waiting.entry((claim.owner.clone(), claim.kind == Kind::Root)).or_default();
        line.insert((claim.rank, claim.chat_id));
    }
    for chat_id in granted {
        let claim = claims.clone().rfind(|claim| claim.chat_id == *chat_id).expect("it had asked");
        let line = waiting.get_mut(&(claim.owner.clone(), claim.kind == Kind::Root)).expect("its line");
        assert_eq!(line.pop_first(), Some((claim.rank, *chat_id)), "{chat_id} went before its time");
    }
}

/// Asks or leaves, judged.
fn step(places: &mut Places, number: u8, ask: Option<(TurnId, i64)>) -> Vec<ChatId> {
    let before: Vec<_> = everybody(places).into_iter().filter(|(claim, _)| claim.chat_id != chat(number)).collect();
    let own_before = places.entries.get(&chat(number)).map(|entry| (entry.claim.clone(), entry.is_held));
    let granted = match ask {
        Some((turn_id, moment)) => {
            let claim = claim(number, turn_id, rank(moment));
            let same = own_before.as_ref().filter(|(own, _)| own.turn_id == turn_id);
            let newcomer = same.map_or(Some(&claim), |(own, held)| (!held).then_some(own)).cloned();
            let (standing, granted) = places.ask(claim);
            assert_eq!(places.standing(chat(number)), Some(standing));
            judge_order(&before, &granted, newcomer.as_ref());
            granted
        }
        None => {
            let granted = places.leave(chat(number));
            assert_eq!(places.standing(chat(number)), None);
            judge_order(&before, &granted, None);
            granted
        }
    };
    judge(places);
    granted
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn bounds_hold_and_nobody_waits_beside_a_free_place(
        (root, child, node) in (0..4usize, 0..4usize, 0..6usize),
        deeds in prop::collection::vec((0..18u8, 0..5u8), 1..120),
    ) {
        let mut places = bounded(root, child, node);
        for (moment, (number, deed)) in deeds.into_iter().enumerate() {
            let turn_now = places.turn(chat(number));
            let moment = i64::try_from(moment).expect("few deeds");
            let ask = match deed {
                0 | 1 => Some((turn_now.unwrap_or(1), moment)),
                2 => Some((turn_now.unwrap_or(0) + 1, moment)),
                _ => None,
            };
            step(&mut places, number, ask);
        }
        // Everybody at work ends, again and again: in the end everybody was served.
        let mut rounds = 0;
        while !places.entries.is_empty() {
            let held: Vec<ChatId> = everybody(&places).iter().filter(|(_, held)| *held).map(|(claim, _)| claim.chat_id).collect();
            prop_assert!(!held.is_empty(), "somebody waits and nobody is at work");
            for chat_id in held {
                places.leave(chat_id);
                judge(&places);
            }
            rounds += 1;
            prop_assert!(rounds <= 18, "somebody starves");
        }
        prop_assert!(places.owners.is_empty() && places.line.is_empty(), "nothing is left of who is gone");
    }

    #[test]
    fn a_restart_gives_the_places_to_the_same_and_keeps_the_order(
        (root, child, node) in (1..4usize, 1..4usize, 1..6usize),
        asks in prop::collection::vec(0..18u8, 1..40),
        order in any::<u64>(),
    ) {
        let mut before = bounded(root, child, node);
        for (moment, number) in asks.iter().enumerate() {
            before.ask(claim(*number, 1, rank(i64::try_from(moment).expect("few"))));
        }
        let mut everybody = everybody(&before);
        everybody.sort_by_key(|(claim, _)| claim.chat_id.0.as_u128().wrapping_mul(u128::from(order) | 1) % 251);
        let mut after = bounded(root, child, node);
        after.close();
        for (claim, is_held) in &everybody {
            let rank = Rank { is_new: !is_held, since: claim.rank.since };
            let (standing, granted) = after.ask(Claim { rank, ..claim.clone() });
            prop_assert!(matches!(standing, Standing::Waits(_)) && granted.is_empty(), "the doors are closed");
        }
        after.open();
        judge(&after);
        for (claim, is_held) in &everybody {
            prop_assert_eq!(after.standing(claim.chat_id) == Some(Standing::Held), *is_held);
        }
        // Inside an owner and kind those who wait come in the same order.
        let lines = |places: &Places| -> Vec<Vec<ChatId>> {
            let mut lines: Vec<(String, usize, Vec<ChatId>)> = Vec::new();
            for (name, owner) in &places.owners {
                for kind in KINDS {
                    let line = owner.waiting[kind as usize].iter().map(|(_, chat_id)| *chat_id).collect();
                    lines.push((name.clone(), kind as usize, line));
                }
            }
            lines.sort();
            lines.into_iter().map(|(_, _, line)| line).collect()
        };
        prop_assert_eq!(lines(&before), lines(&after));
    }
}

#[test]
fn owners_take_turns_where_the_node_is_full() {
    let mut places = bounded(0, 0, 1);
    // Numbers 0, 6 and 12 are the first owner's, 2 the second's, 4 the third's; all roots.
    let mut moment = 0;
    for number in [0, 6, 12, 2, 4] {
        moment += 1;
        step(&mut places, number, Some((1, moment)));
    }
    let mut served = vec![];
    let mut at_work = 0;
    while served.len() < 4 {
        let granted = step(&mut places, at_work, None);
        assert_eq!(granted.len(), 1);
        at_work = u8::try_from(granted[0].0.as_u128() - 1).expect("a small number");
        served.push(at_work);
    }
    assert_eq!(served, [6, 2, 4, 12], "one of each owner before the first owner's next");
}

#[test]
fn the_scope_names_the_bound_that_was_met() {
    let mut places = bounded(1, 1, 3);
    step(&mut places, 0, Some((1, 1)));
    step(&mut places, 1, Some((1, 2)));
    assert_eq!(places.ask(claim(6, 1, rank(3))).0, Standing::Waits(CapacityScope::Root));
    assert_eq!(places.ask(claim(7, 1, rank(4))).0, Standing::Waits(CapacityScope::Child));
    assert_eq!(places.ask(claim(2, 1, rank(5))).0, Standing::Held);
    assert_eq!(places.ask(claim(4, 1, rank(6))).0, Standing::Waits(CapacityScope::Node));
}

#[test]
fn the_next_turn_of_a_chat_goes_behind_those_who_wait() {
    let mut places = bounded(1, 0, 0);
    step(&mut places, 0, Some((1, 1)));
    step(&mut places, 6, Some((1, 2)));
    assert_eq!(step(&mut places, 0, Some((5, 3))), [chat(6)], "the other one had waited");
    assert_eq!(places.standing(chat(0)), Some(Standing::Waits(CapacityScope::Root)));
    assert_eq!(step(&mut places, 6, None), [chat(0)]);
}

#[test]
fn lowered_bounds_let_those_who_were_at_work_wait_in_their_order() {
    let mut places = bounded(1, 0, 0);
    places.close();
    for (number, is_new, moment) in [(12, true, 1), (6, false, 3), (0, false, 2)] {
        places.ask(claim(number, 1, Rank { is_new, since: at(moment) }));
    }
    assert_eq!(places.open(), [chat(0)]);
    assert_eq!(places.leave(chat(0)), [chat(6)]);
    assert_eq!(places.leave(chat(6)), [chat(12)]);
}
