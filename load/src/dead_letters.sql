select consumer || ': ' || error_class || ': ' || message
  from (select 'orders' as consumer, * from orders.dead_letter
        union all select 'inventory', * from inventory.dead_letter
        union all select 'payments', * from payments.dead_letter
        union all select 'fraud', * from fraud.dead_letter
        union all select 'fulfillment', * from fulfillment.dead_letter
        union all select 'notifications', * from notifications.dead_letter
        union all select 'saga-tracker', * from saga_tracker.dead_letter) letters
 order by died_at
