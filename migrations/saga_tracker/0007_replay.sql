-- Replay: read models rebuilt beside the live ones, and put in their place at once. And read your own writes of stock levels.

-- Where in the outbox a level was said: who wrote it waits for it.
alter table saga_tracker.level add column position bigint not null default 0;

-- Makes empty copies of these tables in the schema saga_tracker_rebuild, with everything that belongs to them; what an earlier rebuild left is dropped.
create function saga_tracker.rebuild_begin(tables text[]) returns void language plpgsql set search_path = pg_catalog as $$
declare
    named text;
    live  regclass;
    made  text;
    part  record;
begin
    drop schema if exists saga_tracker_rebuild cascade;
    create schema saga_tracker_rebuild;
    foreach named in array tables loop
        live := format('saga_tracker.%I', named)::regclass;
        made := format('saga_tracker_rebuild.%I', named);
        execute format(
            'create table %s (like %s including defaults including generated including identity including constraints
             including storage including compression including comments including statistics)', made, live);
        -- What `like` leaves out: settings, targets of statistics, keys and indexes under their names, grants.
        for part in select array_to_string(reloptions, ', ') as options from pg_class where oid = live and reloptions is not null loop
            execute format('alter table %s set (%s)', made, part.options);
        end loop;
        for part in
            select attname, attstattarget from pg_attribute
             where attrelid = live and attnum > 0 and not attisdropped and attstattarget >= 0
        loop
            execute format('alter table %s alter column %I set statistics %s', made, part.attname, part.attstattarget);
        end loop;
        for part in
            select conname, pg_get_constraintdef(oid) as definition from pg_constraint
             where conrelid = live and contype in ('p', 'u', 'x') order by oid
        loop
            execute format('alter table %s add constraint %I %s', made, part.conname, part.definition);
        end loop;
        for part in
            select pg_get_indexdef(indexrelid) as definition from pg_index
             where indrelid = live and not exists (select from pg_constraint where conindid = indexrelid) order by indexrelid
        loop
            execute replace(part.definition, ' ON saga_tracker.', ' ON saga_tracker_rebuild.');
        end loop;
        for part in
            select privilege_type, case when grantee = 0 then 'public' else quote_ident(pg_get_userbyid(grantee)) end as grantee
              from pg_class, aclexplode(relacl) where oid = live and grantee <> relowner
        loop
            execute format('grant %s on %s to %s', part.privilege_type, made, part.grantee);
        end loop;
    end loop;
end $$;

-- Puts the copies in the place of these tables, and drops what was there. The caller's transaction holds a lock on each that keeps writers out;
-- readers wait for the rest of it, a moment, and then read the new ones. Views are bound to tables, not to names: they are made again.
create function saga_tracker.rebuild_switch(tables text[]) returns void language plpgsql set search_path = pg_catalog as $$
declare
    named text;
    views text[];
    made  text;
begin
    views := array(
        select format('create or replace view saga_tracker.%I as %s', relname, pg_get_viewdef(oid)) from pg_class
         where relnamespace = 'saga_tracker'::regnamespace and relkind = 'v' order by oid);
    -- Shipments first: the view of both locks them in this order.
    foreach named in array array['shipment'] || array_remove(tables, 'shipment') loop
        execute format('lock table saga_tracker.%I in access exclusive mode', named);
    end loop;
    drop schema if exists saga_tracker_replaced cascade;
    create schema saga_tracker_replaced;
    foreach named in array tables loop
        execute format('alter table saga_tracker.%I set schema saga_tracker_replaced', named);
        execute format('alter table saga_tracker_rebuild.%I set schema saga_tracker', named);
    end loop;
    foreach made in array views loop
        execute made;
    end loop;
    drop schema saga_tracker_replaced cascade;
    drop schema saga_tracker_rebuild cascade;
end $$;
