-- The outbox: consumers append events here in the transaction that changes their state; relays read it by snapshot
-- difference and publish. One outbox per database, written by every consumer there.

create schema if not exists outbox;

-- Append-only. A slot is emptied as a whole (TRUNCATE) when all relays have published it, so nothing bloats.
create table outbox.event (
    slot     smallint not null check (slot between 0 and 3),
    shard    smallint not null check (shard between 0 and 7),
    -- Who wrote it. The relay compares it with snapshots; the order of events is `seq`, never this.
    xid      xid8     not null default pg_current_xact_id(),
    -- CACHE 1: with a cache, sessions would hand out numbers out of the order in which they hold their locks.
    seq      bigint   not null generated always as identity (cache 1),
    event_id uuid     not null,
    topic    text     not null,
    key      bytea,
    headers  bytea    not null,
    payload  bytea,
    primary key (slot, shard, xid, seq)
) partition by list (slot);

comment on table outbox.event is 'Events to publish; read by relays, emptied slot by slot. Never update or delete rows.';
comment on column outbox.event.topic is 'Name of the topic without the prefix of the installation.';
comment on column outbox.event.headers is 'Record headers: name length (u16), name, value length (i32, -1 is null), value, and so on.';

-- Events are small and read once, soon: neither compressed nor moved out of line below a page's size.
alter table outbox.event alter column payload set storage external;
alter table outbox.event alter column headers set storage external;

-- No autovacuum: rows end by TRUNCATE alone, which resets the age of transaction ids as well, and the relay plans without statistics.
create table outbox.event_0 partition of outbox.event for values in (0) with (autovacuum_enabled = off, toast_tuple_target = 8160);
create table outbox.event_1 partition of outbox.event for values in (1) with (autovacuum_enabled = off, toast_tuple_target = 8160);
create table outbox.event_2 partition of outbox.event for values in (2) with (autovacuum_enabled = off, toast_tuple_target = 8160);
create table outbox.event_3 partition of outbox.event for values in (3) with (autovacuum_enabled = off, toast_tuple_target = 8160);

-- One row: which slot appenders write now.
create table outbox.rotation (
    only_row        boolean primary key default true check (only_row),
    current_slot    smallint not null check (current_slot between 0 and 3),
    rotated_at      timestamptz not null,
    -- When appenders left each slot for the next one.
    left_at         timestamptz[] not null default array[null, null, null, null]::timestamptz[],
    -- Rows committed before this moment are gone: a rewind can't reach them.
    emptied_until   timestamptz
) with (fillfactor = 10);

insert into outbox.rotation (current_slot, rotated_at) values (0, now());

-- Up to where each shard is published: everything visible in `snapshot`, and of what `ahead` sees besides, all rows up to `ahead_seq`.
create table outbox.relay_cursor (
    shard             smallint primary key check (shard between 0 and 7),
    snapshot          pg_snapshot not null,
    ahead             pg_snapshot,
    ahead_seq         bigint,
    -- The cluster whose transaction ids the snapshots speak of.
    system_identifier bigint not null,
    -- Raised by whoever else moves the cursor (rewind, rebase): a running relay then reads it again.
    epoch             bigint not null default 0,
    check ((ahead is null) = (ahead_seq is null))
) with (fillfactor = 10, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_cost_delay = 0);

-- Which snapshot belongs to which moment: what `quadrille relay rewind` goes back by.
create table outbox.moment (
    taken_at timestamptz primary key,
    snapshot pg_snapshot not null
);

-- Rows that Kafka does not take (too large, not authorised, no such topic). They wait for a person: `quadrille relay release`.
create table outbox.set_aside (
    seq          bigint primary key,
    event_id     uuid not null,
    topic        text not null,
    key          bytea,
    headers      bytea not null,
    payload      bytea,
    shard        smallint not null,
    error        text not null,
    set_aside_at timestamptz not null default now()
);
