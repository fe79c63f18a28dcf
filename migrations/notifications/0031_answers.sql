-- See runtime.add_answers.
select runtime.add_answers('notifications');
