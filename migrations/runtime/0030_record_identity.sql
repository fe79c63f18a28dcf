-- What tells a record from another at the same place: a topic that was deleted and created anew begins at offset 0 again, and its events are others'.
-- `incarnation` is the first 128 bits of SHA-256 over the record's time and value, as the consumer reckons it when it reads the record; an edited value keeps
-- the record's own.
create function runtime.incarnation_of(timestamp_ms bigint, payload bytea) returns uuid language sql immutable as $$
    select encode(substr(sha256(coalesce(int8send(timestamp_ms), ''::bytea) || coalesce(payload, ''::bytea)), 1, 16), 'hex')::uuid
$$;

create function runtime.add_record_identity(consumer text) returns void language plpgsql as $$
begin
    execute format('alter table %I.dead_letter add column incarnation uuid', consumer); -- null: of a version that kept no record
    execute format('alter table %I.parked add column incarnation uuid', consumer); -- null: it has no record
    execute format($ddl$
        update %I.dead_letter set incarnation = runtime.incarnation_of(timestamp_ms, payload) where topic is not null and headers is not null$ddl$, consumer);
    execute format($ddl$
        update %I.parked set incarnation = runtime.incarnation_of(timestamp_ms, payload) where topic is not null$ddl$, consumer);

    execute format('drop index %I.dead_letter_once', consumer);
    execute format($ddl$
        create unique index dead_letter_once on %I.dead_letter (topic, "partition", "offset", loops, incarnation)$ddl$, consumer);
    execute format('alter table %I.parked drop constraint parked_topic_partition_offset_key', consumer);
    execute format($ddl$
        create unique index parked_once on %I.parked (topic, "partition", "offset", incarnation)$ddl$, consumer);

    -- A key that is longer than an index holds is a lane by its digest (crates/runtime/src/parking/queue.rs).
    execute format($ddl$
        update %I.parked set lane = '\x02'::bytea || sha256(lane) where octet_length(lane) > 2600$ddl$, consumer);
    -- What the pruner looks for, a chunk at a time.
    execute format($ddl$
        create index dead_letter_resolved on %I.dead_letter (resolved_at) where resolution is not null$ddl$, consumer);
end $$;
