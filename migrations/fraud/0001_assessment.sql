-- fraud: may the order go on. One row for each order that was looked at, and what velocity rules count.
create schema if not exists fraud;
select runtime.furnish('fraud');

-- The fill factor is PostgreSQL's own: nearly every row is written once; only a review is changed, and that once.
create table fraud.assessment (
    order_id   uuid        primary key,
    state      text        not null check (state in ('REVIEW', 'CLEARED', 'REJECTED', 'CLOSED')), -- CLOSED: the money went back first
    version    bigint      not null check (version > 0), -- counts the changes of this row: the guard against lost races
    score      bigint      not null, -- the rules' points together; 0 for an order that was closed before it was looked at
    amount     bigint      not null check (amount >= 0), -- what is authorized, in minor units; 0 as above
    currency   text,                 -- ISO 4217; null as above
    opened_at  timestamptz not null, -- when it was first heard of
    deadline   timestamptz,          -- until when a person may decide; kept when the review has ended
    decided_by text,                 -- 'rules', 'deadline', or a person's account; null: not decided
    decided_at timestamptz,
    data       jsonb       not null, -- rules hit, thread, a person's note; while in review what FraudCleared must carry (personal data sealed)
    check (state <> 'REVIEW' or deadline is not null)
);

-- The queue of open reviews. An order enters and leaves it at most once, so the index costs nothing on the way of the others.
create index assessment_review on fraud.assessment (deadline, order_id) where state = 'REVIEW';

-- What velocity rules count: each order once for its customer, once for its card, once for its address. Append-only; what is older than
-- the window is pruned.
create table fraud.velocity (
    subject  uuid        not null, -- first 128 bits of HMAC-SHA-256 over kind and customer, card or address: nobody's data in the clear
    order_id uuid        not null,
    kind     text        not null check (kind in ('customer', 'card', 'address')),
    currency text        not null, -- ISO 4217
    amount   bigint      not null check (amount >= 0), -- in minor units
    at       timestamptz not null, -- when it was counted
    primary key (subject, order_id)  -- once per order, whatever is retried or read again
);
create index velocity_at on fraud.velocity (at); -- what is pruned next
