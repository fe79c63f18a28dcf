-- Stock files that were loaded: the same one again changes nothing, as units may have left since.
create table inventory.load (
    load_key  text        primary key, -- its sender's key, or a digest of its rows
    digest    uuid        not null,    -- of its rows: tells a repetition from other rows under the same key
    loaded_at timestamptz not null
);
