-- saga-tracker: everything that was heard, and what can be asked of it.
--
-- The read models are folds: each column of a row is a maximum, a minimum or a union over the events heard (`greatest`, `least`, `|`), so any
-- order and any repetition of them end in the same row, and a group that is reset to the beginning writes what is there already.
create schema if not exists saga_tracker;
select runtime.furnish('saga_tracker');

-- The event store: each event of an order, once, for ever. Append-only.
-- `json` and not `jsonb`: it is written far more often than read, and costs half as much to write.
-- The key begins with the order, so that new rows go to the end of the index; an index on random event ids alone would touch a page for each.
create table saga_tracker.event (
    order_id     uuid        not null,
    event_id     uuid        not null, -- ce_id
    topic        text        not null,
    "partition"  integer     not null, -- where it was first read from
    "offset"     bigint      not null,
    event_type   text        not null, -- ce_type
    at           timestamptz not null, -- ce_time: when it was decided
    seq          bigint,               -- ce_sequence: its place in the outbox; null: it did not come from there
    causation    uuid,                 -- ce_causationid: the event, timer, answer or request that it was said because of
    correlation  text        not null, -- ce_correlationid
    traceparent  text,                 -- W3C trace context
    data         json        not null, -- the event, without its personal data
    personal     bytea,                -- personal data as the event carried it: emptied when a customer is to be forgotten
    personal_key text,                 -- which key it is encrypted with; empty: none; null: the event carries no personal data
    primary key (order_id, event_id)
);

-- Why an order, or a part of it, was given up; of two the one that was said later in the chain is the greater.
create type saga_tracker.reason as (
    rank   smallint, -- how much the event that says it counts; the terminal event's counts most
    code   text,
    detail text
);

-- One row for each order. Nothing that changes at each step is indexed: an order's changes stay on its page (HOT) until it ends.
create table saga_tracker."order" (
    order_id        uuid        primary key, -- a UUIDv7: newest last
    seen            bigint      not null, -- which events were heard, a bit for each type; bits are never used anew
    rank            smallint    not null, -- how far it got; greater is further
    status          text        not null generated always as (case rank
                        when 0 then 'PLACED' when 10 then 'ACCEPTED' when 20 then 'RESERVED' when 25 then 'ACTION_REQUIRED'
                        when 30 then 'AUTHORIZED' when 35 then 'IN_REVIEW' when 40 then 'CLEARED' when 50 then 'CONFIRMED'
                        when 60 then 'CAPTURED' when 70 then 'SHIPPING' when 80 then 'FAILING' when 85 then 'CANCELLING'
                        when 90 then 'REJECTED' when 91 then 'FAILED' when 92 then 'CANCELLED' when 93 then 'COMPLETED' end) stored,
    outcome         text        generated always as (case rank
                        when 90 then 'REJECTED' when 91 then 'FAILED' when 92 then 'CANCELLED' when 93 then 'COMPLETED' end) stored,
    position        bigint      not null, -- the highest ce_sequence heard of it
    source          text,
    reference       text,
    customer_id     text,
    currency        text,                 -- of all amounts, which are in its minor units
    total           bigint,               -- what it would cost in full
    authorized      bigint,
    captured        bigint,
    refunded        bigint,
    voided          bigint,               -- what was held and let go
    charged         bigint,               -- by its terminal event: the value of what shipped
    lines           text,                 -- JSON, as accepted: line, SKU, quantity, all-inclusive amount
    faults          text,                 -- JSON: what was wrong with it, if it was rejected
    shipped         text,                 -- JSON, by its terminal event
    unshipped       text,                 -- JSON, by its terminal event
    reason          saga_tracker.reason,
    cancellation    text,                 -- by OrderCompleted: none, in_part, too_late
    placed_at       timestamptz not null, -- when its id was minted
    accepted_at     timestamptz,
    reserved_at     timestamptz,
    authorized_at   timestamptz,
    review_at       timestamptz,          -- when people were asked
    cleared_at      timestamptz,
    confirmed_at    timestamptz,
    captured_at     timestamptz,
    dispatched_at   timestamptz,          -- the first parcel
    committed_at    timestamptz,          -- the first parcel's stock
    cancel_asked_at timestamptz,
    let_go_at       timestamptz,          -- when fulfillment cancelled
    undo_at         timestamptz,          -- the first event of undoing anything
    closed_at       timestamptz,          -- inventory's last word
    ended_at        timestamptz,
    changed_at      timestamptz not null, -- the latest event
    -- When it must be looked at if it has not ended. Set once, from the time it was placed; whoever looks moves it on.
    deadline        timestamptz not null
) with (fillfactor = 50);

create index order_customer on saga_tracker."order" (customer_id, order_id) where customer_id is not null;
create index order_outcome on saga_tracker."order" (outcome, order_id);
create index order_deadline on saga_tracker."order" (deadline) where outcome is null;

-- One row for each shipment: what fulfillment said of it.
create table saga_tracker.shipment (
    order_id      uuid        not null,
    shipment_id   uuid        not null,
    warehouse     text,
    items         text,                 -- JSON: the units in it
    short         text,                 -- JSON: the units that the warehouse could not give, with why
    short_at      timestamptz,
    confirmed_at  timestamptz,          -- packed
    dispatched_at timestamptz,          -- handed over, as its warehouse says
    delivered_at  timestamptz,          -- as the carrier says
    carrier       text,
    tracking      text,
    phase         text        not null generated always as (case
                      when delivered_at is not null then 'DELIVERED' when dispatched_at is not null then 'DISPATCHED'
                      else 'IN_HOUSE' end) stored,
    primary key (order_id, shipment_id)
) with (fillfactor = 70);

create index shipment_phase on saga_tracker.shipment (phase, order_id, shipment_id);

-- Shipments with where they stand: what has not left when fulfillment cancels stays in the house.
create view saga_tracker.fulfillment as
select s.order_id, s.shipment_id, s.warehouse, s.phase,
       case when s.phase <> 'IN_HOUSE' then s.phase
            when s.confirmed_at is null then 'SHORT'
            when o.let_go_at is not null then 'CANCELLED'
            else 'PACKED' end as status,
       s.items, s.short, s.short_at, s.confirmed_at, o.let_go_at, s.dispatched_at, s.delivered_at, s.carrier, s.tracking
from saga_tracker.shipment s join saga_tracker."order" o using (order_id);

-- How long each step of each order took, in milliseconds. A step is there as soon as both its ends are.
create view saga_tracker.step as
select o.order_id, s.step, s.began_at, s.ended_at,
       greatest(0, (extract(epoch from s.ended_at - s.began_at) * 1000)::bigint) as took_ms
from saga_tracker."order" o
cross join lateral (values
    ('accept',    o.placed_at,     o.accepted_at),
    ('reserve',   o.accepted_at,   o.reserved_at),
    ('authorize', o.reserved_at,   o.authorized_at),
    ('clear',     o.authorized_at, o.cleared_at),
    ('pick',      o.cleared_at,    o.confirmed_at),
    ('capture',   o.confirmed_at,  o.captured_at),
    ('dispatch',  o.captured_at,   o.dispatched_at),
    ('commit',    o.dispatched_at, o.committed_at),
    ('undo',      o.undo_at,       o.closed_at),
    ('end',       o.closed_at,     o.ended_at),
    ('whole',     o.placed_at,     o.ended_at),
    ('complete',  o.placed_at,     case when o.outcome = 'COMPLETED' then o.ended_at end)
) as s (step, began_at, ended_at)
where s.began_at is not null and s.ended_at is not null;

-- The level of each SKU in each warehouse; the highest version wins.
create table saga_tracker.level (
    sku        text        not null,
    warehouse  text        not null,
    version    bigint      not null,
    on_hand    bigint      not null,
    reserved   bigint      not null,
    missing    bigint      not null,
    available  bigint      not null,
    changed_at timestamptz not null,
    primary key (sku, warehouse)
) with (fillfactor = 50);

create index level_warehouse on saga_tracker.level (warehouse, sku);

-- What needs a person: events that no consumer could decide, and orders that are stuck. (`dead_letter` is the runtime's own guard.)
create table saga_tracker.letter (
    letter_id      uuid        primary key,
    kind           text        not null check (kind in ('event', 'order')),
    died_at        timestamptz not null,
    consumers      text[]      not null, -- who could not decide it; of an order, who should have answered
    stage          text,                 -- decode, decide, save or call; null for an order
    error_class    text        not null,
    error_message  text        not null,
    fingerprint    text        not null, -- equal for equal causes
    event_type     text,                 -- of the event that died, or was not answered
    order_id       uuid,                 -- null: it does not say of which order it is
    original_topic     text,             -- where the event was read from; null: an answer, a timer or a request died
    original_partition integer,
    original_offset    bigint,
    code_version   text,
    key            bytea,                -- as the record has it
    value          bytea,                -- as the record has it: the original bytes
    headers        jsonb       not null, -- [{name, value}], or {name, hex} where the value is not readable text
    topic          text        not null, -- where this dead letter stands
    "partition"    integer     not null,
    "offset"       bigint      not null
);

create index letter_newest on saga_tracker.letter (died_at, letter_id);
create index letter_fingerprint on saga_tracker.letter (fingerprint, died_at, letter_id);
create index letter_order on saga_tracker.letter (order_id) where order_id is not null;

-- How far each partition is in these tables: read-your-writes and lag, whichever instance reads it.
create table saga_tracker.position (
    topic       text        not null,
    "partition" integer     not null,
    "offset"    bigint      not null, -- of the last record
    seq         bigint      not null, -- the highest ce_sequence; 0: none
    at          timestamptz not null, -- the latest ce_time
    primary key (topic, "partition")
) with (fillfactor = 20);

-- Up to which moment the relays have published each shard of each outbox.
create table saga_tracker.watermark (
    database        text        not null,
    shard           integer     not null,
    relay           text        not null,
    published_until timestamptz not null,
    last_seq        bigint      not null,
    backlog         bigint      not null, -- rows that waited then
    primary key (database, shard)
) with (fillfactor = 20);
