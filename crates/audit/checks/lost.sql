-- Orders by how they ended; of open ones, what is waited for. One that nobody waits for is lost. While events are on their way nobody may wait for
-- a moment: this is asked when all is quiet.
with parked as (
    select key from orders.parked union select key from inventory.parked union select key from payments.parked union select key from fraud.parked
    union select key from fulfillment.parked
), known as (
    select o.order_id,
           case
               when o.ended_at is not null then lower(o.state)
               when parked.key is not null then 'open: an event is parked'
               when p.stuck then 'open: payments needs a person'
               when p.state = 'ACTION_REQUIRED' then 'open: the customer must confirm'
               when a.state = 'REVIEW' then 'open: in review'
               when p.state in ('AUTHORIZING', 'CAPTURING', 'VOIDING', 'REFUNDING')
                    and exists (select from payments.timer t where t.order_id = o.order_id) then 'open: the gateway is asked'
               when c.state = 'picking'
                    and exists (select from fulfillment.timer t where t.order_id = o.order_id) then 'open: being picked'
               when c.state = 'released' then 'open: parcels in the house'
               else 'LOST'
           end as how
      from orders."order" o
      left join payments.payment p using (order_id)
      left join fraud.assessment a using (order_id)
      left join fulfillment.consignment c using (order_id)
      left join parked on parked.key = convert_to(o.order_id::text, 'UTF8')
     where o.order_id >= $1 and o.order_id < $2 or o.order_id = any($3)
), counted as (select how, count(*) as orders, (array_agg(order_id))[1:200] as ids from known group by how)
select coalesce(sum(orders) filter (where how = 'LOST'), 0)::bigint,
       format('%s orders', coalesce(sum(orders), 0)) || coalesce(' = ' || string_agg(orders || ' ' || how, ' + ' order by how), ''),
       (select jsonb_agg(jsonb_build_object('subject', order_id, 'detail', 'open, and nobody waits for it'))
          from counted, unnest(ids) as order_id where how = 'LOST')
  from counted
