-- What an id of the registry stood for before: a registry that was built anew gives its ids a second time, and the topics still hold what was written
-- under the first. Read after what the id stands for now (`runtime.schema_id`), never written with.
create table runtime.schema_id_former (
    schema_id   integer     not null,
    subject     text        not null,
    definition  text        not null,
    replaced_at timestamptz not null default now()
);
create unique index schema_id_former_once on runtime.schema_id_former (schema_id, md5(definition));
