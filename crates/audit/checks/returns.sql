-- Return by return: nothing comes back that did not ship, and what was received is in stock again, and decided by payments where money goes back.
-- While events are on their way ($4 is false) a return may have been received before others know of it.
with unit as (
    select r.order_id, r.return_id, r.state, r.received, coalesce((r.data::jsonb ->> 'refund')::boolean, false) as refund,
           of.line_id, of.warehouse, case r.state when 'RECEIVED' then of.intact + of.damaged when 'ANNOUNCED' then of.quantity else 0 end as units
      from fulfillment.customer_return r,
           jsonb_to_recordset(r.data::jsonb -> 'units') as of (line_id text, warehouse text, quantity bigint, intact bigint, damaged bigint)
     where r.order_id >= $1 and r.order_id < $2 or r.order_id = any($3)
), shipped as (
    select c.order_id, pick.line_id, parcel.warehouse, sum(pick.picked) as units
      from fulfillment.consignment c, jsonb_to_recordset(c.data::jsonb -> 'parcels') as parcel (warehouse text, state text, picks jsonb),
           jsonb_to_recordset(parcel.picks) as pick (line_id text, picked bigint)
     where parcel.state = 'dispatched' and c.order_id in (select order_id from unit) group by 1, 2, 3
), over as (
    select taken.order_id
      from (select order_id, line_id, warehouse, sum(units) as units from unit group by 1, 2, 3) taken
      left join shipped using (order_id, line_id, warehouse)
     where taken.units > coalesce(shipped.units, 0)
), judged as (
    select distinct on (return_id) unit.order_id, return_id, unit.state, unit.received, unit.refund,
           exists (select from over where over.order_id = unit.order_id) as is_over,
           unit.state = 'RECEIVED' and $4 and not coalesce(r.data::jsonb -> 'returned' @> jsonb_build_array(
               jsonb_build_object('return_id', return_id, 'units', unit.received)), false) as not_in_stock,
           unit.state = 'RECEIVED' and $4 and unit.refund and not coalesce(p.data::jsonb -> 'returns' ? return_id::text, false) as not_decided
      from unit
      left join inventory.reservation r using (order_id)
      left join payments.payment p using (order_id)
     order by return_id
)
select count(*) filter (where is_over or not_in_stock or not_decided),
       format('%s returns, %s units received', count(*), coalesce(sum(received), 0)),
       to_jsonb((array_agg(jsonb_build_object('subject', order_id, 'detail',
           format('return %s, %s, %s units received:%s%s%s', return_id, state, received,
                  case when is_over then ' more comes back of a line than shipped' else '' end,
                  case when not_in_stock then ' not in stock again' else '' end,
                  case when not_decided then ' payments has not decided its refund' else '' end)))
           filter (where is_over or not_in_stock or not_decided))[1:200])
  from judged
