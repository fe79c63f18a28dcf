-- The tables of orders: one row for each order, which is its guard for as long as anything can bring an event of it back.

create schema if not exists orders;
select runtime.furnish('orders');

-- Lock order: rows that exist by order_id, then new rows by placement. Never the other way round.
create table orders."order" (
    order_id    uuid        not null primary key, -- UUIDv7, minted when it came in
    -- Derived from (source, reference) as they came, whatever their length: the idempotency key.
    placement   uuid        not null,
    source      text        not null, -- which system placed it; shortened if it was too long to be valid
    reference   text        not null, -- that system's own id of it; shortened likewise
    state       text        not null check (state in ('PENDING', 'CANCELLING', 'REJECTED', 'COMPLETED', 'CANCELLED', 'FAILED')),
    version     bigint      not null, -- counts the row's changes, from 1
    currency    text,                 -- ISO 4217; null if rejected
    total       bigint,               -- what the whole order costs, in minor units; null if rejected
    charged     bigint,               -- value of what shipped, in minor units; null until it ended
    placed_at   timestamptz not null,
    ended_at    timestamptz,          -- null while it is open
    details     jsonb       not null, -- lines, amounts, customer's id, thread, or the faults; never changes
    asked       jsonb,                -- who asked to cancel it, and why
    ending      jsonb,                -- what shipped and what did not, with why
    -- Digest of the order as it was placed: tells a repetition from another order, also after an erasure.
    body_digest uuid        not null,
    -- The order as it was placed, to name the difference of another one. Personal data: set to null to erase it.
    -- json, not jsonb: it is kept as it came, and jsonb refuses some of what may come.
    body        json,
    constraint order_placement_key unique (placement),
    constraint order_ended check ((ended_at is null) = (state in ('PENDING', 'CANCELLING')))
) with (fillfactor = 50);
