-- The switch of a rebuild keeps readers waiting for as short a time as can be. Each view is locked before the tables that it reads, as its readers do:
-- whoever comes then waits at the view and finds the new tables behind it, not the ones that were dropped while it waited. The caller's lock_timeout
-- is shorter than deadlock_timeout: where a reader and the switch wait for each other, it is the switch that gives up and tries again.
create or replace function saga_tracker.rebuild_switch(tables text[]) returns void language plpgsql set search_path = pg_catalog as $$
declare
    named text;
    views text[];
    made  text;
begin
    views := array(
        select format('create or replace view saga_tracker.%I as %s', relname, pg_get_viewdef(oid)) from pg_class
         where relnamespace = 'saga_tracker'::regnamespace and relkind = 'v' order by oid);
    -- As they are: this locks the views alone, where `lock table` would also lock the event store and whatever else they read.
    foreach made in array views loop
        execute made;
    end loop;
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
