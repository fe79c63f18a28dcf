-- Level by level, as the tracker knows them: available = on hand − reserved (what is missing is not on hand), never ahead of inventory, and at the
-- same version the same.
with judged as (
    select t.sku, t.warehouse, t.version, t.on_hand, t.reserved, t.missing, t.available, l.version as is_at,
           t.available <> t.on_hand - t.reserved or t.available < 0 or l.version is null or t.version > l.version
           or t.version = l.version and (t.on_hand, t.reserved, t.missing) <> (l.on_hand, l.reserved, l.missing) as breach
      from saga_tracker.level t left join inventory.stock_level l using (sku, warehouse)
)
select count(*) filter (where breach),
       format('%s available = %s on hand − %s reserved, in %s levels', coalesce(sum(available), 0), coalesce(sum(on_hand), 0),
              coalesce(sum(reserved), 0), count(*)),
       to_jsonb((array_agg(jsonb_build_object('subject', sku || '/' || warehouse, 'detail',
           format('the tracker has version %s with on hand %s, reserved %s, missing %s, available %s; inventory is at version %s', version, on_hand,
                  reserved, missing, available, is_at))) filter (where breach))[1:200])
  from judged
