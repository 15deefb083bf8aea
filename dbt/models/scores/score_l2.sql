{{ roll_up(ref('score_l3'), 3) }}
