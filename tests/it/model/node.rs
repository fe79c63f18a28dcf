//! One consumer in memory: its inbox by topic, its timers, its open calls, and its real rules.

use std::collections::{BTreeMap, HashSet, VecDeque};

use events::{OrderId, Timestamp};
use runtime::{Cause, Codec, Consumer, Effects, Message, Outgoing, Timer, Work};

use super::Random;

/// What plays the outside of a consumer: a call's answers, now or later.
pub type Outside<C> =
    Box<dyn FnMut(&C, <C as Consumer>::Call, &mut Random, Timestamp) -> Vec<Work<<C as Consumer>::Input>>>;

pub struct Node<C: Consumer> {
    pub consumer: C,
    pub state: C::BatchState,
    codec: Codec,
    subscribes_to: HashSet<&'static str>,
    unread: BTreeMap<&'static str, VecDeque<Message>>,
    read: BTreeMap<&'static str, Vec<Message>>,
    timers: BTreeMap<(OrderId, String, String), Timestamp>,
    calls: Vec<C::Call>,
    answers: Vec<Work<C::Input>>,
    outside: Outside<C>,
    conflicts: Vec<String>,
}

/// What the scheduler needs of a node, whichever consumer it is.
pub trait Party {
    fn enqueue(&mut self, message: &Message);
    fn has_mail(&self) -> bool;
    fn has_calls(&self) -> bool;
    fn read(&mut self, random: &mut Random, now: Timestamp) -> Vec<Outgoing>;
    fn call_or_answer(&mut self, random: &mut Random, now: Timestamp) -> Vec<Outgoing>;
    fn next_timer(&self) -> Option<Timestamp>;
    fn fire(&mut self, random: &mut Random, now: Timestamp) -> Vec<Outgoing>;
    fn crash(&mut self, random: &mut Random);
    fn redeliver(&mut self, random: &mut Random, now: Timestamp) -> Vec<Outgoing>;
    fn conflicts(&self) -> &[String];
}

impl<C: Consumer> Node<C> {
    pub fn new(consumer: C, state: C::BatchState, codec: &Codec, outside: Outside<C>) -> Self {
        Self {
            consumer,
            state,
            codec: codec.clone(),
            subscribes_to: C::subscribes_to().into_iter().collect(),
            unread: BTreeMap::new(),
            read: BTreeMap::new(),
            timers: BTreeMap::new(),
            calls: Vec::new(),
            answers: Vec::new(),
            outside,
            conflicts: Vec::new(),
        }
    }

    /// Decides a batch, as the runtime does; `fired` are the timers among it.
    pub fn decide(&mut self, batch: Vec<Work<C::Input>>, now: Timestamp) -> Vec<Outgoing> {
        let (codec, mut said) = (self.codec.clone(), Vec::new());
        for work in &batch {
            let mut effects = Effects::new(&codec, C::NAME, &work.cause, now);
            match self.consumer.decide(&mut self.state, work, now, &mut effects) {
                Ok(_) => said.extend(self.carry_out(&mut effects)),
                Err(conflict) => self.conflicts.push(format!("{}: {conflict}", C::NAME)),
            }
        }
        if let Some(last) = batch.last() {
            let mut effects = Effects::new(&codec, C::NAME, &last.cause, now);
            self.consumer.finish(&mut self.state, now, &mut effects);
            said.extend(self.carry_out(&mut effects));
        }
        said
    }

    fn carry_out(&mut self, effects: &mut Effects<'_, C::Call>) -> Vec<Outgoing> {
        assert!(effects.broken().is_none(), "{}: {:?}", C::NAME, effects.broken());
        for (timer, armed) in effects.timer_changes() {
            let key = (timer.order_id, timer.kind, timer.discriminator);
            if armed {
                self.timers.insert(key, timer.due);
            } else {
                self.timers.remove(&key);
            }
        }
        self.calls.extend(effects.take_calls());
        effects.said().to_vec()
    }

    fn hear(&self, message: &Message) -> Work<C::Input> {
        self.consumer.decode(message, &self.codec).unwrap_or_else(|error| panic!("{}: {error}", C::NAME))
    }

    /// Some input of the test's: a request through a door.
    pub fn ask(&mut self, key: &str, input: C::Input, now: Timestamp) -> Vec<Outgoing> {
        self.decide(vec![Work { cause: Cause::request(C::NAME, key), input }], now)
    }
}

impl<C: Consumer> Party for Node<C> {
    fn enqueue(&mut self, message: &Message) {
        if message.event_type().is_some_and(|event_type| self.subscribes_to.contains(event_type)) {
            self.unread.entry(message.topic).or_default().push_back(message.clone());
        }
    }

    fn has_mail(&self) -> bool {
        self.unread.values().any(|queue| !queue.is_empty())
    }

    fn has_calls(&self) -> bool {
        !self.calls.is_empty() || !self.answers.is_empty()
    }

    /// A batch of some messages: of each topic in order, of the topics in any.
    fn read(&mut self, random: &mut Random, now: Timestamp) -> Vec<Outgoing> {
        let mut batch = Vec::new();
        for _ in 0..1 + random.below(3) {
            let topics: Vec<&'static str> =
                self.unread.iter().filter(|(_, queue)| !queue.is_empty()).map(|(topic, _)| *topic).collect();
            if topics.is_empty() {
                break;
            }
            let topic = *random.pick(&topics);
            if let Some(message) = self.unread.get_mut(topic).and_then(VecDeque::pop_front) {
                batch.push(self.hear(&message));
                self.read.entry(topic).or_default().push(message);
            }
        }
        self.decide(batch, now)
    }

    /// Makes a call, or takes an answer that is on its way: in any order.
    fn call_or_answer(&mut self, random: &mut Random, now: Timestamp) -> Vec<Outgoing> {
        if !self.calls.is_empty() && (self.answers.is_empty() || random.chance(50)) {
            let call = self.calls.swap_remove(random.below(self.calls.len()));
            let answers = (self.outside)(&self.consumer, call, random, now);
            self.answers.extend(answers);
            return Vec::new();
        }
        if self.answers.is_empty() {
            return Vec::new();
        }
        let answer = self.answers.swap_remove(random.below(self.answers.len()));
        self.decide(vec![answer], now)
    }

    fn next_timer(&self) -> Option<Timestamp> {
        self.timers.values().min().copied()
    }

    /// Fires one timer that is due, if there is one.
    fn fire(&mut self, random: &mut Random, now: Timestamp) -> Vec<Outgoing> {
        let due: Vec<_> =
            self.timers.iter().filter(|(_, due)| **due <= now).map(|(key, due)| (key.clone(), *due)).collect();
        if due.is_empty() {
            return Vec::new();
        }
        let (key, due) = random.pick(&due).clone();
        self.timers.remove(&key);
        let (order_id, kind, discriminator) = key;
        let timer = Timer { order_id, kind, discriminator, due };
        let work = Work { cause: Cause::timer(&timer), input: self.consumer.on_timer(&timer) };
        self.decide(vec![work], now)
    }

    /// The process dies: its calls are lost, answers on their way too, and what it read last is read again.
    fn crash(&mut self, random: &mut Random) {
        self.calls.clear();
        self.answers.clear();
        for (topic, read) in &mut self.read {
            let again = random.below(read.len().min(4) + 1);
            let unread = self.unread.entry(topic).or_default();
            for message in read.split_off(read.len() - again).into_iter().rev() {
                unread.push_front(message);
            }
        }
    }

    /// Any event that was read before comes once more, at whatever age.
    fn redeliver(&mut self, random: &mut Random, now: Timestamp) -> Vec<Outgoing> {
        let all: Vec<Message> = self.read.values().flatten().cloned().collect();
        if all.is_empty() {
            return Vec::new();
        }
        let work = self.hear(random.pick(&all));
        self.decide(vec![work], now)
    }

    fn conflicts(&self) -> &[String] {
        &self.conflicts
    }
}
