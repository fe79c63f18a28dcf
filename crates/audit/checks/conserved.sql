-- What is reserved or missing is still counted as ours; units leave by being committed alone.
with level as (select coalesce(sum(on_hand), 0) as on_hand, coalesce(sum(missing), 0) as missing from inventory.stock_level),
     brought as (select coalesce(sum(on_hand + missing), 0) as units from inventory.ledger where kind in ('received', 'counted', 'found')),
     shipped as (select coalesce((select sum(committed) from inventory.reservation), 0) + (select committed from inventory.forgotten) as units),
     judged as (
         select level.on_hand + level.missing - brought.units + shipped.units as difference,
                format('%s on hand + %s missing = %s brought in − %s shipped', level.on_hand, level.missing, brought.units, shipped.units) as figures
           from level, brought, shipped
     )
select abs(difference)::bigint, figures,
       case when difference <> 0 then jsonb_build_array(jsonb_build_object('subject', 'all stock', 'detail',
           format('%s units too many: %s', difference, figures))) end
  from judged
