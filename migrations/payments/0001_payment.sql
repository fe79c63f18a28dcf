-- What payments knows of each order, and of the refunds that gateways tell about.
create schema if not exists payments;
select runtime.furnish('payments');

-- One row per order, also for one that was stopped before it came here (a tombstone: VOIDED, without a currency).
-- All amounts are in minor units of the currency; at any time authorized = captured + released_remainder + voided + what is still held.
create table payments.payment (
    order_id           uuid        primary key,
    state              text        not null check (state in ('NEW', 'AUTHORIZING', 'ACTION_REQUIRED', 'AUTHORIZED', 'CAPTURING', 'LAPSED',
                                   'CAPTURED', 'VOIDING', 'REFUNDING', 'DECLINED', 'VOIDED', 'REFUNDED')),
    version            bigint      not null,               -- counts the changes; a save that does not find its predecessor is a lost race
    gateway            text,                               -- who was asked; none: there was nothing to pay; null: not asked
    payment_id         text,                               -- the gateway's id of the payment
    currency           text,                               -- ISO 4217; null before it is known what is to be paid
    amount             bigint      not null,               -- what is to be paid
    authorized         bigint      not null,               -- what was held
    captured           bigint      not null,               -- what was taken
    released_remainder bigint      not null,               -- what the gateway released when the rest was taken
    voided             bigint      not null,               -- what was let go
    refunded           bigint      not null,               -- what was given back, confirmed by the gateway
    announced          boolean     not null,               -- whether PaymentAuthorized was said
    capture_before     timestamptz,                        -- when the hold lapses
    stuck              boolean     not null,               -- whether the attempt waits for a person
    personal_key       text,                               -- the key that personal_data is encrypted with; empty: not encrypted
    personal_data      bytea,                              -- names, addresses and contact, sealed; null once the money is held, or never will be
    data               jsonb       not null,               -- the attempt, what came too early, the order's lines and thread
    created_at         timestamptz not null,
    updated_at         timestamptz not null,
    check (captured + released_remainder + voided <= authorized),
    check (refunded between 0 and captured)
) with (fillfactor = 50);

-- One row per refund at a gateway: where the gateway's word on it, and our own answer that says whose it is, meet in whichever order they come.
create table payments.refund (
    refund_id  text        primary key, -- the gateway's id of the refund
    order_id   uuid,                    -- whose; null while only the gateway has told of it
    version    bigint      not null,    -- as in payments.payment
    told       jsonb       not null,    -- the gateway's messages with their ids, in the order in which they came
    updated_at timestamptz not null
) with (fillfactor = 70);
