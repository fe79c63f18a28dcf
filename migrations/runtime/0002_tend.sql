-- How PostgreSQL looks after a table that each order writes to and changes a few times.
--
-- Columns that hold documents are never searched by value: no statistics of them (parsing and sorting samples of them took a third of PostgreSQL's
-- CPU while a table was young). Changes stay on their page and are pruned there (HOT), so that there is little to vacuum; and a table that only
-- grows need not be read again after every fifth of it.
create function runtime.tend(named regclass) returns void language plpgsql as $$
declare
    document name;
begin
    for document in
        select attname from pg_attribute
         where attrelid = named and attnum > 0 and not attisdropped and atttypid in ('json'::regtype, 'jsonb'::regtype, 'bytea'::regtype)
    loop
        execute format('alter table %s alter column %I set statistics 0', named, document);
    end loop;
    execute format($ddl$
        alter table %s set (
            autovacuum_vacuum_threshold = 50000, autovacuum_vacuum_scale_factor = 0.3,
            autovacuum_vacuum_insert_threshold = 100000, autovacuum_vacuum_insert_scale_factor = 1,
            autovacuum_analyze_threshold = 20000, autovacuum_analyze_scale_factor = 0.5)$ddl$, named);
end $$;
