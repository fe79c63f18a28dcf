-- One row for all that a transaction says, not one for each event: a row costs what its place in the table, its index entry and its record in the log
-- cost, and of the events in it hardly anything (ADR 15).
create table outbox.entry (
    slot      smallint not null,
    -- Who wrote it. The relay compares it with snapshots; the order of events is their position, never this.
    xid       xid8     not null default pg_current_xact_id(),
    -- The position of its first event; the others follow it one by one, so an entry has 1,024 events at most.
    -- CACHE 1: with a cache, sessions would hand out numbers out of the order in which they hold their locks.
    seq       bigint   not null generated always as identity (increment by 1024 cache 1),
    shards    smallint[] not null, -- of each event, and so on: arrays of equal length
    event_ids uuid[]   not null,
    topics    text[]   not null,
    keys      bytea[]  not null,
    headers   bytea[]  not null,
    payloads  bytea[]  not null,
    primary key (slot, xid, seq)
) partition by list (slot);

comment on table outbox.entry is 'Events to publish, as the transactions said them; read by relays, emptied slot by slot. Never update or delete rows. The view outbox.event has a row for each event.';
comment on column outbox.entry.topics is 'Names of the topics without the prefix of the installation.';
comment on column outbox.entry.headers is 'Record headers, in the form that crates/runtime/src/headers.rs describes.';

-- What does not fit a page is compressed, by lz4 where this server has it; pglz would take longer than it saves.
do $$
declare packed text;
begin
    foreach packed in array array['topics', 'keys', 'headers', 'payloads'] loop
        execute format('alter table outbox.entry alter column %I set compression lz4', packed);
    end loop;
exception when feature_not_supported then
    foreach packed in array array['topics', 'keys', 'headers', 'payloads'] loop
        execute format('alter table outbox.entry alter column %I set storage external', packed);
    end loop;
end $$;

-- No autovacuum: rows end by TRUNCATE alone, which resets the age of transaction ids as well, and the relay plans without statistics.
do $$
begin
    for slot in 0..3 loop
        execute format('create table outbox.entry_%1$s partition of outbox.entry for values in (%1$s)
                          with (autovacuum_enabled = off, toast.autovacuum_enabled = off, toast_tuple_target = 8160)', slot);
    end loop;
end $$;

-- What is there keeps its slot, its transaction and its position.
insert into outbox.entry (slot, xid, seq, shards, event_ids, topics, keys, headers, payloads) overriding system value
select slot, xid, seq, array[shard], array[event_id], array[topic], array[key], array[headers], array[payload] from outbox.event;

select setval(pg_get_serial_sequence('outbox.entry', 'seq'), nextval(pg_get_serial_sequence('outbox.event', 'seq')));

drop table outbox.event;

-- The outbox for people: `select topic, seq from outbox.event where key = '…' order by seq`.
create view outbox.event as
select entry.slot, said.shard, entry.xid, entry.seq + said.n - 1 as seq, said.event_id, said.topic, said.key, said.headers, said.payload, entry.seq as entry
from outbox.entry
cross join lateral unnest(shards, event_ids, topics, keys, headers, payloads)
    with ordinality as said (shard, event_id, topic, key, headers, payload, n);
