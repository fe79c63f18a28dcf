-- What is reserved or missing is still counted as ours; units leave by being committed alone, and come back by returns alone.
with level as (select coalesce(sum(on_hand), 0) as on_hand, coalesce(sum(missing), 0) as missing from inventory.stock_level),
     brought as (
         select coalesce(sum(on_hand + missing) filter (where kind in ('received', 'counted', 'found')), 0) as units,
                coalesce(sum(on_hand + missing) filter (where kind in ('returned', 'returned_damaged')), 0) as returned
           from inventory.ledger
     ),
     shipped as (
         select coalesce(sum(committed), 0) + (select committed from inventory.forgotten) as units,
                coalesce(sum(returned), 0) + (select returned from inventory.forgotten) as returned
           from inventory.reservation
     ),
     judged as (
         select level.on_hand + level.missing - brought.units - brought.returned + shipped.units as difference,
                brought.returned - shipped.returned as returned,
                format('%s on hand + %s missing = %s brought in − %s shipped + %s returned, %s of them by orders', level.on_hand, level.missing,
                       brought.units, shipped.units, brought.returned, shipped.returned) as figures
           from level, brought, shipped
     )
select abs(difference)::bigint + abs(returned)::bigint, figures,
       case when difference <> 0 or returned <> 0 then jsonb_build_array(jsonb_build_object('subject', 'all stock', 'detail',
           format('%s units too many, %s returned without an order: %s', difference, returned, figures))) end
  from judged
