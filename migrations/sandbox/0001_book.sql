-- The book of the sandbox gateway: what a provider would know, in a schema that payments itself never reads.
create schema if not exists sandbox;

-- What was done under each idempotency key, with the answer that is given again whenever the key comes again.
create table sandbox.operation (
    key        text        primary key,
    operation  text        not null check (operation in ('authorize', 'capture', 'void', 'refund')),
    order_id   uuid        not null,
    payment_id text        not null,
    amount     bigint      not null, -- as asked, in minor units
    currency   text        not null, -- as asked
    answer     jsonb       not null,
    done_at    timestamptz not null
);

-- One row per authorization, also a declined one. Amounts in minor units; authorized = captured + released + what is still held.
create table sandbox.payment (
    payment_id     text        primary key,
    order_id       uuid        not null,
    token          text        not null, -- the test token: it decides what happens to the payment
    currency       text        not null,
    amount         bigint      not null, -- what was asked for
    state          text        not null check (state in ('requires_action', 'authorized', 'captured', 'cancelled', 'declined')),
    authorized     bigint      not null,
    captured       bigint      not null,
    released       bigint      not null, -- let go by a void, or as the rest of a capture
    refunded       bigint      not null, -- given back, or under way
    capture_before timestamptz not null,
    card           jsonb       not null, -- with its checks, as the answers tell it
    created_at     timestamptz not null,
    updated_at     timestamptz not null,
    check (captured + released <= authorized),
    check (refunded between 0 and captured)
) with (fillfactor = 50);

create index payment_by_order on sandbox.payment (order_id); -- a 3-D Secure result is posted by order

create table sandbox.refund (
    refund_id  text        primary key,
    payment_id text        not null,
    amount     bigint      not null,
    state      text        not null check (state in ('pending', 'succeeded', 'failed')),
    created_at timestamptz not null,
    settled_at timestamptz
);

-- Results of 3-D Secure that were posted before the payment came into being.
create table sandbox.early_result (
    order_id  uuid        primary key,
    passed    boolean     not null,
    posted_at timestamptz not null
);
