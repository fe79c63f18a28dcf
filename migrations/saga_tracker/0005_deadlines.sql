-- Which answers are owed, what excuses that they are not there, what is stuck, and who was told.
--
-- `order.deadline` is when an order is looked at again: moved on by whoever looks, and back by each event that is heard of it.

-- Events of an order that wait in a consumer for a retry. Folded from OrderParked and OrderUnparked: of each the one that stands later in the outbox
-- counts, so any order and any repetition end in the same row.
create table saga_tracker.delayed (
    order_id     uuid        not null,
    consumer     text        not null,
    parked_seq   bigint      not null default 0, -- place in the outbox of the latest OrderParked; 0: not heard
    parked_at    timestamptz,
    event_id     uuid,                           -- the event that waits at the head, by the latest OrderParked
    event_type   text,
    topic        text,
    "partition"  integer,
    "offset"     bigint,
    attempts     bigint,
    next_at      timestamptz,
    error        text,
    unparked_seq bigint      not null default 0, -- the same of OrderUnparked
    unparked_at  timestamptz,
    outcome      text,                           -- recovered, dead_lettered, skipped
    waits        boolean     not null generated always as (parked_seq > unparked_seq) stored,
    primary key (order_id, consumer)
) with (fillfactor = 70);

create index delayed_waits on saga_tracker.delayed (parked_at) where waits;

-- Orders that were told to be stuck, by situation: the guard of OrderStuck, and folded from it.
create table saga_tracker.stuck (
    order_id    uuid        not null,
    event_id    uuid        not null, -- the event that was not answered
    round       bigint      not null, -- how often the order's deadline had been moved before
    letter_id   uuid        not null, -- ce_id of OrderStuck: its dead letter
    waits_for   bigint      not null, -- bits of `order.seen` any of which answers it; 0: only a look tells
    consumers   text[]      not null, -- who should have answered
    detail      text        not null,
    due         timestamptz not null,
    said_at     timestamptz not null,
    resolved_at timestamptz,          -- when a look found the answer, or the order's end
    primary key (order_id, event_id, round)
);

-- What is stuck now: an order that moved on, or ended, is not.
create view saga_tracker.stuck_now as
select s.order_id, s.event_id, s.round, s.letter_id, s.consumers, s.detail, s.due, s.said_at
from saga_tracker.stuck s join saga_tracker."order" o using (order_id)
where s.resolved_at is null and o.outcome is null and (o.seen & s.waits_for) = 0;

create index stuck_unresolved on saga_tracker.stuck (said_at) where resolved_at is null;

-- Deadlines that people moved: nothing is owed before the latest of an order's.
create table saga_tracker.deadline_move (
    move_id  bigint      primary key generated always as identity,
    order_id uuid        not null,
    until    timestamptz not null,
    moved_by text        not null,
    why      text        not null,
    moved_at timestamptz not null
);

create index deadline_move_order on saga_tracker.deadline_move (order_id);

-- How far each consumer had come at which moment: tells when it passed an event. Thinned as it ages.
create table saga_tracker.pace (
    consumer    text        not null,
    topic       text        not null,
    "partition" integer     not null,
    seen_at     timestamptz not null,
    committed   bigint      not null, -- the next offset
    primary key (consumer, topic, "partition", seen_at)
);

-- When nobody was in a consumer's group.
create table saga_tracker.outage (
    consumer text        not null,
    began_at timestamptz not null, -- first seen empty
    ended_at timestamptz not null, -- last seen empty
    primary key (consumer, began_at)
);

-- What people are alerted of. One that is raised again while it is open is the same one.
create table saga_tracker.alert (
    alert_id     uuid        primary key,
    kind         text        not null,
    key          text        not null, -- which of its kind: an order, a currency, a database, an invariant
    text         text        not null, -- what is wrong, and what to do
    order_id     uuid,
    raised_at    timestamptz not null,
    resolved_at  timestamptz,
    attempts     integer     not null default 0,
    next_at      timestamptz not null, -- when its webhook is tried next
    delivered_at timestamptz,
    last_error   text
);

create unique index alert_open on saga_tracker.alert (kind, key) where resolved_at is null;
create index alert_due on saga_tracker.alert (next_at) where delivered_at is null;
create index alert_newest on saga_tracker.alert (raised_at);
