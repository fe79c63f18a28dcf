-- The audit of the books: what it found, and how far it is.

-- Each breach of an invariant, once: it stays here after it was healed.
create table saga_tracker.breach (
    "check"    text        not null, -- which invariant
    subject    text        not null, -- what is wrong: an order's id, SKU/warehouse, an event's id
    detail     text        not null, -- what was expected, and what was there when it was last seen
    first_seen timestamptz not null,
    last_seen  timestamptz not null,
    healed_at  timestamptz,          -- when it was looked for and not found any more; null: it is open
    primary key ("check", subject)
);

create index breach_open on saga_tracker.breach (first_seen) where healed_at is null;

-- One row: when the books were last looked at, and up to which order the walk over all older ones has come.
create table saga_tracker.audit (
    only_row boolean     primary key default true check (only_row),
    ran_at   timestamptz,             -- null: never
    walked   uuid        not null     -- the next page begins with this order
);

insert into saga_tracker.audit (walked) values ('00000000-0000-0000-0000-000000000000');
