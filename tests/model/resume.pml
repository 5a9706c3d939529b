/* One channel of a native connection: subscribe, replay, live, lapped, lost, resumed, handed over.
 *
 * Four processes share the state below; each of their steps is atomic, everything between steps may
 * happen in any order. What a run may do is bounded by the budgets, so every run ends, and "at the end
 * the strategy has everything" is the same as "if connections stay up, it eventually has everything".
 * A macro that is defined breaks one rule; README.md says which macro is which rule.
 */
#ifndef PUBLISHES
#define PUBLISHES 4
#endif
#ifndef LOSSES
#define LOSSES 1
#endif
#ifndef RESTARTS
#define RESTARTS 1
#endif
#ifndef HANDOVERS
#define HANDOVERS 1
#endif
/* Messages that fit on the wire, and in the lane behind it, before a reader is lapped. */
#define WIRE 2
#define LANE 1

mtype = {Subscribed, Message, Gap, CaughtUp, Heartbeat};
mtype = {none, retention, slow_consumer, upstream, epoch_change};

/* ---- The server: hub, log, and the I/O thread, which takes from the hub with a delay. */
byte epoch = 1;   /* of the server that runs now */
byte head;        /* last number that was stamped */
byte first = 1;   /* the log has first..head */
byte io_head;     /* last number that the I/O thread has taken */
byte hole;        /* a number that was lost between hub and I/O thread; 0: none */
byte quiet_head;  /* the last head that was told as quiet */
byte lapped;      /* bit n: some reader was moved past number n */

/* ---- Two connections, so that a new one can be made before the old one is left. */
mtype = {gone, asked, outdated, replaying, joining, live};
mtype served[2] = gone;  /* as the server sees it */
byte point_epoch[2];     /* Subscribe.since; 0: none */
byte point_seq[2];
byte sent[2];            /* last number written, or covered by a Gap that was */
byte owed[2];            /* a quiet head still to be told, in order with the messages */
#ifdef NO_ATOMIC_JOIN
byte planned[2];
#endif
/* type, epoch, from (a message: its number), to, reason (a message: live, or none when replayed). */
chan wire[2] = [WIRE] of {mtype, byte, byte, byte, mtype};

/* ---- The client. */
mtype = {closed, subscribing, recovering};
mtype state[2] = closed;
byte served_epoch[2];  /* what Subscribed said */
bool known;            /* there is a cursor */
byte cursor_epoch;
byte cursor_seq;
byte losses = LOSSES, restarts = RESTARTS, handovers = HANDOVERS, published;
#ifdef CURSOR_RUNS_AHEAD
bool read_ahead[2];
#endif

/* ---- What the strategy was told; only looks, and never helps the client. */
byte strategy_epoch;
byte strategy_seq;   /* last number that it got, or got a Gap for */
bool numbering_void; /* after a Gap epoch_change: a newer epoch begins with 1 */
byte told_missing;   /* last number that a Gap named, in this epoch */

#ifdef EPOCH_REUSED
#define SAME_EPOCH(a, b) true
#else
#define SAME_EPOCH(a, b) ((a) == (b))
#endif
#ifdef PLAN_ON_LAGGING_HEAD
#define PLANNED_HEAD io_head
#else
#define PLANNED_HEAD head
#endif

#define COMPLETE (known && ((!numbering_void && strategy_epoch == epoch && strategy_seq == head) || \
                            (numbering_void && strategy_epoch < epoch && head == 0)))
/* Connections are lost a bounded number of times, so from some time on they stay up. */
ltl progress { <>[] COMPLETE }

inline strategy_sees_number(new_epoch, number) {
  if
  :: numbering_void ->
     assert(new_epoch > strategy_epoch && number == 1);
     numbering_void = false;
     strategy_epoch = new_epoch;
     told_missing = 0;
  :: else -> assert(new_epoch == strategy_epoch && number == strategy_seq + 1);
  fi
}

inline hand_over(msg_epoch, msg_seq) {
  strategy_sees_number(msg_epoch, msg_seq);
  strategy_seq = msg_seq;
}

/* A Gap has to be the exact range, once, and the truth: each number in it is lost, the last one for
 * the reason that it says (one Gap stands for a hole whose parts have several). */
inline hand_over_gap(gap_epoch, gap_from, gap_to, gap_reason) {
  strategy_sees_number(gap_epoch, gap_from);
  if
  :: gap_reason == epoch_change ->
     assert(gap_epoch < epoch && gap_to == 0);
     numbering_void = true;
     strategy_seq = 0;
     told_missing = 0;
  :: else ->
     assert(gap_from <= gap_to);
     if
     :: gap_epoch == epoch ->
        assert(gap_to <= head);
        k = gap_from;
        do
        :: k > gap_to -> break;
        :: else -> assert(k < first || k == hole || (lapped & (1 << k))); k++;
        od;
        assert((gap_reason == retention && gap_to < first) || (gap_reason == upstream && gap_to == hole) ||
               (gap_reason == slow_consumer && (lapped & (1 << gap_to))));
     :: else -> skip; /* of a server that is no more: what it had is not known now */
     fi;
     strategy_seq = gap_to;
     told_missing = gap_to;
  fi;
  k = 0;
}

inline forget_connection(i) {
  state[i] = closed;
  served[i] = gone;
  point_epoch[i] = 0;
  point_seq[i] = 0;
  sent[i] = 0;
  owed[i] = 0;
  served_epoch[i] = 0;
#ifdef CURSOR_RUNS_AHEAD
  read_ahead[i] = false;
#endif
#ifdef NO_ATOMIC_JOIN
  planned[i] = 0;
#endif
  do
  :: nempty(wire[i]) -> wire[i]?_, _, _, _, _;
  :: empty(wire[i]) -> break;
  od
}

/* ---- Publishers and hub: stamp, append to the log, keep it bounded, say what fell quiet, start anew. */
inline told_quiet(i) {
  if
#ifdef HEADS_DURING_REPLAY
  :: served[i] == live || served[i] == replaying -> owed[i] = head;
#elif defined(HEADS_ONLY_WHEN_IDLE)
  :: served[i] == live && sent[i] >= io_head -> owed[i] = head;
#elif defined(HEARTBEAT_WITHOUT_HEADS)
#else
  :: served[i] == live -> owed[i] = head;
#endif
  :: else -> skip;
  fi
}

active proctype Hub() {
end:
  do
  :: atomic { published < PUBLISHES -> published++; head++; }
  :: atomic { first <= head -> first++; }
  :: atomic { quiet_head < head -> quiet_head = head; told_quiet(0); told_quiet(1); }
  :: atomic {
       restarts > 0 && head > 0 ->
       restarts--;
       epoch++;
       head = 0; first = 1; io_head = 0; hole = 0; quiet_head = 0; lapped = 0;
       served[0] = gone; served[1] = gone;
     }
  od
}

/* ---- I/O thread: takes from the hub, answers Subscribe, replays from the log, writes the lanes. */
inline grant(i) {
  if
  :: point_epoch[i] == 0 -> sent[i] = head; served[i] = replaying;
  :: point_epoch[i] == 0 && first <= head -> sent[i] = head - 1; served[i] = replaying; /* snapshot */
#ifdef NO_EPOCH_CHECK
  :: point_epoch[i] != 0 -> sent[i] = point_seq[i]; served[i] = replaying;
#else
  :: point_epoch[i] != 0 && SAME_EPOCH(point_epoch[i], epoch) && point_seq[i] <= PLANNED_HEAD ->
     sent[i] = point_seq[i]; served[i] = replaying;
  :: point_epoch[i] != 0 && !(SAME_EPOCH(point_epoch[i], epoch) && point_seq[i] <= PLANNED_HEAD) ->
     sent[i] = 0; served[i] = outdated;
#endif
  fi;
#ifdef NO_ATOMIC_JOIN
  planned[i] = head;
#endif
  wire[i]!Subscribed(epoch, (point_epoch[i] == 0 -> sent[i] : head), 0, none);
}

inline tell_outdated(i) {
#ifndef EPOCH_CHANGE_WITHOUT_GAP
  wire[i]!Gap(point_epoch[i], point_seq[i] + 1, 0, epoch_change);
#endif
  served[i] = replaying;
}

#ifdef NO_ATOMIC_JOIN
inline join_late(i) {
  wire[i]!CaughtUp(epoch, 0, 0, none);
  served[i] = live;
  if
  :: io_head > sent[i] -> sent[i] = io_head;
  :: else -> skip;
  fi
}
#endif

inline replay(i) {
  if
  :: sent[i] + 1 < first ->
#ifndef RETENTION_WITHOUT_GAP
     wire[i]!Gap(epoch, sent[i] + 1, first - 1, retention);
#endif
     sent[i] = first - 1;
#ifdef NO_ATOMIC_JOIN
  :: sent[i] + 1 >= first && sent[i] < planned[i] ->
#else
  :: sent[i] + 1 >= first && sent[i] < head ->
#endif
     sent[i]++;
     wire[i]!Message(epoch, sent[i], 0, none);
#ifdef NO_ATOMIC_JOIN
  :: sent[i] + 1 >= first && sent[i] >= planned[i] -> served[i] = joining;
#else
  :: sent[i] >= head -> wire[i]!CaughtUp(epoch, 0, 0, none); served[i] = live;
#endif
  fi
}

inline lap(i, to) {
  j = sent[i] + 1;
  do
  :: j > (to) -> break;
  :: else -> lapped = lapped | (1 << j); j++;
  od;
  j = 0;
#ifdef GAP_COVERS_THE_LATEST
  wire[i]!Gap(epoch, sent[i] + 1, io_head, slow_consumer);
#elif defined(LAPPED_WITHOUT_GAP)
#else
  wire[i]!Gap(epoch, sent[i] + 1, to, slow_consumer);
#endif
  sent[i] = to;
}

/* A replay may reach beyond io_head, as the log has what the I/O thread has not taken yet: what was sent
 * by the replay is not sent again. */
inline write_lane(i) {
  if
  :: io_head - sent[i] > LANE -> lap(i, io_head);
  :: io_head - sent[i] > LANE -> lap(i, io_head - 1); /* conflated: the latest follows */
  :: io_head - sent[i] <= LANE ->
     sent[i]++;
     if
     :: sent[i] != hole -> wire[i]!Message(epoch, sent[i], 0, live);
     :: else -> skip;
     fi
  fi
}

#ifdef HEADS_OVERTAKE
#define HEAD_MAY_BE_TOLD(i) true
#elif defined(HEADS_DURING_REPLAY)
#define HEAD_MAY_BE_TOLD(i) (served[i] == replaying || sent[i] >= owed[i])
#else
#define HEAD_MAY_BE_TOLD(i) (served[i] == live && sent[i] >= owed[i])
#endif

active proctype Io() {
  byte j;
#ifdef LIVE_DURING_REPLAY
  byte n;
#endif
end:
  do
  :: atomic {
       io_head < head -> io_head++;
#ifdef LIVE_DURING_REPLAY
       n = 0;
       do
       :: n == 2 -> break;
       :: n < 2 && served[n] == replaying && nfull(wire[n]) && io_head > sent[n] ->
          wire[n]!Message(epoch, io_head, 0, live); n++;
       :: else -> n++;
       od;
       n = 0;
#endif
     }
  :: atomic { io_head < head && hole == 0 -> io_head++; hole = io_head; }
  :: atomic { served[0] == asked && nfull(wire[0]) -> grant(0); }
  :: atomic { served[1] == asked && nfull(wire[1]) -> grant(1); }
  :: atomic { served[0] == outdated && nfull(wire[0]) -> tell_outdated(0); }
  :: atomic { served[1] == outdated && nfull(wire[1]) -> tell_outdated(1); }
  :: atomic { served[0] == replaying && nfull(wire[0]) -> replay(0); }
  :: atomic { served[1] == replaying && nfull(wire[1]) -> replay(1); }
#ifdef NO_ATOMIC_JOIN
  :: atomic { served[0] == joining && nfull(wire[0]) -> join_late(0); }
  :: atomic { served[1] == joining && nfull(wire[1]) -> join_late(1); }
#endif
  :: atomic { served[0] == live && io_head > sent[0] && nfull(wire[0]) -> write_lane(0); }
  :: atomic { served[1] == live && io_head > sent[1] && nfull(wire[1]) -> write_lane(1); }
  :: atomic { owed[0] > 0 && HEAD_MAY_BE_TOLD(0) && served[0] != gone && nfull(wire[0]) ->
       wire[0]!Heartbeat(epoch, owed[0], 0, none); owed[0] = 0; }
  :: atomic { owed[1] > 0 && HEAD_MAY_BE_TOLD(1) && served[1] != gone && nfull(wire[1]) ->
       wire[1]!Heartbeat(epoch, owed[1], 0, none); owed[1] = 0; }
  od
}

/* ---- Client: takes one message at a time; its cursor moves with what it hands over, never before. */
inline take_subscribed(i) {
  state[i] = recovering;
  served_epoch[i] = of_epoch;
  if
  :: !known ->
     known = true;
     cursor_epoch = of_epoch; cursor_seq = from;
     strategy_epoch = of_epoch; strategy_seq = from;
#ifdef CURSOR_JUMPS_TO_HEAD
  :: known && SAME_EPOCH(of_epoch, cursor_epoch) && from > cursor_seq -> cursor_seq = from;
#endif
  :: else -> skip;
  fi
}

inline miss_until(upto, because) {
  if
  :: upto > cursor_seq ->
     hand_over_gap(cursor_epoch, cursor_seq + 1, upto, because);
#ifndef ASK_TWICE
     cursor_seq = upto;
#endif
  :: else -> skip;
  fi
}

inline take_message(i) {
  assert(why != live || state[i] == live);
  if
#ifndef OLD_GENERATION_TAKEN
  :: !SAME_EPOCH(of_epoch, cursor_epoch) -> skip; /* in flight on the older connection */
#endif
#ifndef NO_DUPLICATE_CHECK
  :: SAME_EPOCH(of_epoch, cursor_epoch) && from <= cursor_seq -> skip;
#endif
  :: else ->
#ifndef NO_HOLE_CHECK
     miss_until(from - 1, upstream);
#endif
     hand_over(of_epoch, from);
#ifndef CURSOR_RUNS_AHEAD
     cursor_seq = from;
#endif
  fi
}

inline take_gap(i) {
  if
  :: !SAME_EPOCH(of_epoch, cursor_epoch) -> skip;
  :: SAME_EPOCH(of_epoch, cursor_epoch) && why == epoch_change ->
     hand_over_gap(of_epoch, cursor_seq + 1, 0, epoch_change);
#ifndef FORGETS_EPOCH_CHANGE
     cursor_epoch = served_epoch[i];
     cursor_seq = 0;
#endif
  :: SAME_EPOCH(of_epoch, cursor_epoch) && why != epoch_change ->
#ifdef GAP_TAKEN_AS_IT_IS
     hand_over_gap(of_epoch, from, to, why);
     cursor_seq = to;
#else
     miss_until(to, why); /* one Gap for one hole: wider or narrower than the server's */
#endif
  fi
}

inline take_caught_up(i) {
  state[i] = live;
  if
  :: state[1 - i] != closed -> forget_connection(1 - i);
  :: else -> skip;
  fi
}

inline take_heartbeat() {
  if
  :: SAME_EPOCH(of_epoch, cursor_epoch) -> miss_until(from, upstream);
  :: else -> skip;
  fi
}

inline take(i) {
  wire[i]?kind, of_epoch, from, to, why;
#ifdef CURSOR_RUNS_AHEAD
  read_ahead[i] = false;
#endif
  if
  :: kind == Subscribed -> take_subscribed(i);
  :: kind == Message -> take_message(i);
  :: kind == Gap -> take_gap(i);
  :: kind == CaughtUp -> take_caught_up(i);
  :: kind == Heartbeat -> take_heartbeat();
  fi;
  kind = none; of_epoch = 0; from = 0; to = 0; why = none;
}

/* The point that is asked for is exactly what the strategy has: nothing twice, no lost range again. */
inline subscribe(i) {
  state[i] = subscribing;
  served[i] = asked;
  if
  :: known ->
     assert(cursor_seq >= told_missing);
     assert(numbering_void -> cursor_epoch > strategy_epoch && cursor_seq == 0
                            : cursor_epoch == strategy_epoch && cursor_seq == strategy_seq);
     point_epoch[i] = cursor_epoch;
     point_seq[i] = cursor_seq;
  :: else -> skip;
  fi
}

active proctype Client() {
  mtype kind = none;
  mtype why = none;
  byte of_epoch;
  byte from;
  byte to;
  byte k;
end:
  do
#ifdef CURSOR_RUNS_AHEAD
  :: atomic { wire[0]?[Message, eval(cursor_epoch), eval(cursor_seq + 1), _, _] && !read_ahead[0] ->
       read_ahead[0] = true; cursor_seq++; }
  :: atomic { wire[0]?[Message, _, _, _, _] && read_ahead[0] -> take(0); }
  :: atomic { nempty(wire[0]) && !(wire[0]?[Message, _, _, _, _]) -> take(0); }
#else
  :: atomic { nempty(wire[0]) -> take(0); }
#endif
  :: atomic { nempty(wire[1]) -> take(1); }
  /* The end of what a server has sent that closed, or is no more. */
  :: atomic { empty(wire[0]) && state[0] != closed && served[0] == gone -> forget_connection(0); }
  :: atomic { empty(wire[1]) && state[1] != closed && served[1] == gone -> forget_connection(1); }
  :: atomic { state[0] == closed && state[1] == closed -> subscribe(0); }
  /* GoAway: make before break. */
  :: atomic { handovers > 0 && state[0] == live && state[1] == closed -> handovers--; subscribe(1); }
  :: atomic { handovers > 0 && state[1] == live && state[0] == closed -> handovers--; subscribe(0); }
  od
}

/* ---- Network: a connection may end at any point, with all that is in flight, or, when the server closes
 * it (a slow consumer of a lossless channel), behind what is in flight. */
active proctype Network() {
end:
  do
  :: atomic { losses > 0 && state[0] != closed -> losses--; forget_connection(0); }
  :: atomic { losses > 0 && state[1] != closed -> losses--; forget_connection(1); }
  :: atomic { losses > 0 && served[0] == live -> losses--; served[0] = gone; }
  :: atomic { losses > 0 && served[1] == live -> losses--; served[1] = gone; }
  od
}
