-- notifications: what customers were told. Personal data stands in `contact`, and in recipient, subject and body of a message: columns that
-- can be emptied when a customer is to be forgotten, without losing who was told of what.
create schema if not exists notifications;
select runtime.furnish('notifications');

-- One row for each order that a customer should hear of: where to write, and what waits until that is known.
create table notifications.customer (
    order_id uuid   primary key,
    version  bigint not null check (version > 0), -- counts the changes of this row: the guard against lost races
    contact  jsonb,          -- name, e-mail, phone, locale, the shop's order number; null: OrderAccepted was not heard yet
    waiting  jsonb  not null -- what came before it, in order of arrival: told, and emptied, when it comes
);

-- One row for each event and channel, for ever: what is here is not sent again, whatever is retried or replayed.
create table notifications.message (
    order_id   uuid        not null,
    event_id   uuid        not null, -- the event it tells of (ce_id)
    channel    text        not null, -- 'email' or 'sms'
    state      text        not null check (state in ('SENT', 'FAILED')),
    event_type text        not null, -- its ce_type
    template   text        not null, -- which text
    locale     text        not null, -- in which language
    recipient  text,                 -- e-mail address or phone number; null: there was no usable one
    subject    text,                 -- null for a text message
    body       text,
    detail     text,                 -- why it failed; no personal data
    at         timestamptz not null, -- when it was sent, or given up
    primary key (order_id, event_id, channel),
    check ((state = 'FAILED') = (detail is not null))
);
