{{ roll_up(ref('score_l1'), 1) }}
