-- Parking: events that failed for their order alone wait under their key, and dead letters are kept with their record.
create function runtime.furnish_parking(consumer text) returns void language plpgsql as $$
begin
    -- One count of arrivals for both tables: a dead letter that is tried again takes the place in its lane that it had when it came.
    execute format('create sequence %I.arrival as bigint', consumer);
    -- A lane is the events of one key in the order of their arrival; the first is its head, and only the head is tried.
    execute format($ddl$
        create table %1$I.parked (
            arrival         bigint      primary key default nextval('%1$I.arrival'),
            lane            bytea       not null, -- the record's key; of a record without one its place: it waits alone
            topic           text,                 -- where it was read from; null: a person's word on a dead letter that has no record
            "partition"     integer,
            "offset"        bigint,
            timestamp_ms    bigint,
            key             bytea,
            headers         bytea       not null, -- in the form of outbox.event
            payload         bytea,
            parked_at       timestamptz not null,
            next_at         timestamptz,          -- when the head is tried again; null: it waits behind its head, or for a person
            attempts        integer     not null, -- that failed; 0: it was not tried yet
            first_failed_at timestamptz,
            last_failed_at  timestamptz,
            stage           text,                 -- of the last failure, as are class and message
            error_class     text,
            message         text,
            loops           integer     not null default 0, -- how often a person had it tried again
            letter_id       uuid,                 -- the dead letter that it is, or was before it is tried again
            dead_at         timestamptz,          -- since when it waits for a person, and its lane behind it
            decided_by      text,                 -- the account of the person who had it tried again, or skipped it
            skipped         boolean     not null default false,
            unique (topic, "partition", "offset")
        )$ddl$, consumer);
    execute format('create index parked_lane on %I.parked (lane, arrival)', consumer);
    execute format('create index parked_next on %I.parked (next_at) where next_at is not null', consumer);
    execute format('create index parked_letter on %I.parked (letter_id) where letter_id is not null', consumer);

    -- Letters of the versions before keep a place and a cause, not a record: their bytes stand in the topic alone.
    execute format($ddl$
        alter table %1$I.dead_letter
            drop constraint dead_letter_pkey,
            alter column topic drop not null,
            alter column "partition" drop not null,
            alter column "offset" drop not null,
            add column letter_id       uuid        not null default gen_random_uuid(),
            add column arrival         bigint      not null default nextval('%1$I.arrival'),
            add column order_id        uuid,     -- whose, where it is known
            add column timer_kind      text,     -- of a timer that could not fire: tried again, it is armed again
            add column timer_discriminator text,
            add column timestamp_ms    bigint,
            add column key             bytea,
            add column headers         bytea,    -- null: it has no record, or one that was not kept
            add column payload         bytea,
            add column stage           text,
            add column attempts        integer     not null default 1,
            add column first_failed_at timestamptz,
            add column loops           integer     not null default 0, -- how often it had been tried again by a person before it died
            add column blocking        boolean     not null default false, -- whether its lane waits behind it
            add column resolution      text check (resolution in ('retrying', 'recovered', 'skipped', 'died_again')), -- null: open
            add column resolved_at     timestamptz,
            add column resolved_by     text$ddl$, consumer);
    execute format('alter table %I.dead_letter alter column letter_id drop default', consumer);
    execute format('alter table %I.dead_letter add primary key (letter_id)', consumer);
    -- An event that is read again does not die twice; one that a person has tried again may.
    execute format('create unique index dead_letter_once on %I.dead_letter (topic, "partition", "offset", loops)', consumer);
    execute format('create index dead_letter_open on %I.dead_letter (arrival) where resolution is null', consumer);

    -- A timer that fails is armed again, and dead after its last attempt.
    execute format($ddl$
        alter table %I.timer
            add column attempts  integer not null default 0, -- that failed
            add column letter_id uuid                        -- the dead letter that it was before a person had it tried again
        $ddl$, consumer);
end $$;
