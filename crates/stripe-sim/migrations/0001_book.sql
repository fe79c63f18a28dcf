-- The book: every object of the API, what was done under which key, and what is still to happen. Times are milliseconds of the virtual clock.
create table book (
    only_one boolean primary key default true check (only_one),
    clock_offset_ms bigint not null default 0,
    settings jsonb not null default '{}'
);
insert into book default values;

-- A payment's charges, refunds, disputes and warnings are kept in the payment's body; their own rows have none, and say where they are.
create table objects (
    id text primary key,
    seq bigint generated always as identity,
    scope text not null,
    object text not null,
    created bigint not null, -- seconds, as the API has it
    payment_id text references objects,
    charge_id text,
    body jsonb
);
create index objects_by_kind on objects (scope, object, seq);
create index objects_by_payment on objects (payment_id, object);

create table idempotency_keys (
    scope text not null,
    key text not null,
    operation text not null,
    parameters jsonb not null,
    status smallint not null,
    body jsonb not null,
    request_id text not null,
    created_ms bigint not null,
    primary key (scope, key)
);
create index idempotency_keys_by_age on idempotency_keys (created_ms);

-- What money did, written at the same moment and never changed: /_sim/ledger compares it with the objects.
create table ledger (
    seq bigint generated always as identity primary key,
    payment_id text not null,
    entry text not null,
    object_id text not null,
    amount bigint not null,
    currency text not null,
    at_ms bigint not null
);
create index ledger_by_payment on ledger (payment_id);

create table tasks (
    id bigint generated always as identity primary key,
    due_ms bigint not null,
    body jsonb not null
);
create index tasks_by_due on tasks (due_ms, id);

create table webhook_endpoints (
    id text primary key,
    seq bigint generated always as identity,
    body jsonb not null
);

create table deliveries (
    id bigint generated always as identity primary key,
    event_id text not null references objects on delete cascade,
    endpoint_id text not null references webhook_endpoints on delete cascade,
    due_ms bigint not null,
    attempts int not null default 0,
    state text not null default 'pending' check (state in ('pending', 'succeeded', 'failed', 'dropped')),
    last_answer text
);
create index deliveries_by_due on deliveries (due_ms, id) where state = 'pending';
create index deliveries_by_event on deliveries (event_id);

create table fault_rules (
    id bigint generated always as identity primary key,
    rule jsonb not null,
    remaining bigint, -- none: for ever
    hits bigint not null default 0
);

-- API keys that expired or will, by their SHA-256: a key itself is never kept.
create table expired_keys (
    fingerprint text primary key,
    at_ms bigint not null
);
