{{ roll_up(ref('score_l2'), 2) }}
