-- Tokens that open a payment to the browser of its own customer, once: their digests, until they are used or over.
create table payments.customer_token (
    digest     bytea       primary key, -- SHA-256 of the token, which is kept nowhere
    order_id   uuid        not null,
    expires_at timestamptz not null
);
