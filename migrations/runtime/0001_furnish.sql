-- What the runtime keeps in every database, and the tables it furnishes each consumer's own schema with.
create schema if not exists runtime;

-- Ids under which the registry knows our schemas; written by `quadrille topics apply`, read by every consumer at its start,
-- so that a registry that is down stops nobody.
create table runtime.schema_id (
    schema_id  integer primary key,
    subject    text    not null,
    definition text    not null -- the schema's text, as registered: what events under this id are read with
);

-- The tables of the runtime in a consumer's schema: one definition, a copy for each, so that consumers can live in databases of their own.
create function runtime.furnish(consumer text) returns void language plpgsql as $$
begin
    -- A timer is a row that is looked at with its order's row locked: if the state moved on, nothing happens.
    execute format($ddl$
        create table %I.timer (
            order_id      uuid        not null,
            kind          text        not null,
            discriminator text        not null, -- which of several, such as the shipment; else empty
            due_at        timestamptz not null,
            primary key (order_id, kind, discriminator)
        ) with (fillfactor = 70)$ddl$, consumer);
    execute format('create index timer_due on %I.timer (due_at)', consumer);
    -- The guard of a dead letter: an event that is read again does not die twice.
    execute format($ddl$
        create table %I.dead_letter (
            topic       text        not null,
            "partition" integer     not null,
            "offset"    bigint      not null,
            error_class text        not null,
            message     text        not null,
            died_at     timestamptz not null,
            primary key (topic, "partition", "offset")
        )$ddl$, consumer);
end $$;
