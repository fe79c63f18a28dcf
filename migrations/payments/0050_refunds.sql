-- Refunds to customers, beside the saga (ADR 30). Its own refund stays in `refunded`.
alter table payments.payment
    add column refunds_open bigint not null default 0, -- asked for, and neither given back nor refused
    add column refunds_done bigint not null default 0, -- given back
    add check (refunds_open >= 0 and refunds_done >= 0 and refunded + refunds_open + refunds_done <= captured);

-- One row for each refund; the payment's row guards their sum: both change in one transaction.
create table payments.customer_refund (
    refund_id  uuid        primary key, -- derived from the order and the key under which it was asked for
    order_id   uuid        not null,
    version    bigint      not null,    -- as in payments.payment
    state      text        not null check (state in ('REQUESTED', 'REFUNDING', 'PENDING', 'REFUNDED', 'FAILED')),
    amount     bigint      not null check (amount > 0), -- in minor units of the payment's currency
    stuck      boolean     not null,    -- whether the attempt waits for a person
    data       text        not null,    -- what was asked for, by whom and why, the units, the attempt
    created_at timestamptz not null,
    updated_at timestamptz not null
) with (fillfactor = 50);
alter table payments.customer_refund alter column data set statistics 0;
create index customer_refund_order on payments.customer_refund (order_id);

-- What left the house, shipment by shipment: only that can be refunded to a customer. What did not ship is the saga's.
create table payments.shipped (
    shipment_id uuid   primary key,
    order_id    uuid   not null,
    version     bigint not null,
    items       text   not null -- its units
);
alter table payments.shipped alter column items set statistics 0;
create index shipped_order on payments.shipped (order_id);

-- Which of our refunds a gateway's refund is; null: the saga's, or not known yet.
alter table payments.refund add column customer_refund uuid;
