-- loyalty: points for what customers paid.
create schema if not exists loyalty;
-- What the runtime looks for in a consumer's schema: timers, parked events, dead letters, answers.
select runtime.furnish('loyalty');
select runtime.furnish_parking('loyalty');
select runtime.add_record_identity('loyalty');
select runtime.add_answers('loyalty');

-- One row for each order that was paid: a repeated event finds here what it did.
create table loyalty.order_points (
    order_id     uuid        primary key,
    version      bigint      not null, -- counts the changes of this row: the guard against lost races
    captured     bigint      not null, -- in minor units of the currency, as is the next
    refunded     bigint      not null,
    customer_id  text,                 -- null, as is the next: the order is not completed
    currency     text,
    granted      bigint      not null, -- its points in the customer's account
    is_spendable boolean     not null,
    changed_at   timestamptz not null
);

-- One row for each customer, which their orders share.
create table loyalty.account (
    customer_id text   primary key,
    version     bigint not null,
    pending     bigint not null, -- granted, and not to be spent yet
    spendable   bigint not null
);
select runtime.tend('loyalty.order_points');
