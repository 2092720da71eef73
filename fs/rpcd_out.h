/* SPDX-License-Identifier: Apache-2.0 */
/* The way out of one connection of RPC calls: its queue of replies, and who sends them. All
 * functions named _locked need the connection's lock. */
#ifndef MATRIXFS_RPCD_OUT_H
#define MATRIXFS_RPCD_OUT_H

#include "fs/rpcd_conn.h"

#define RPCD_HELD_MAX (8 << 20) /* bytes; more are taken in only when the client has taken some */

/* True if what all clients together have waiting for them is as much as it may be. */
bool rpcd_out_is_short_of_room(const struct rpcd_conn *c);
/* Memory is held for the connection: more, or less. */
void rpcd_out_hold_locked(struct rpcd_conn *c, size_t more, size_t less);
/* True if one more call may be taken from the client. */
bool rpcd_out_may_take_locked(const struct rpcd_conn *c);
/* Tells epoll what is waited for now. */
void rpcd_out_arm_locked(struct rpcd_conn *c);
/* Shuts it down: its loop will be told. */
void rpcd_out_kill_locked(struct rpcd_conn *c);
/* True if what is put in the queue now will lie there for a while. */
bool rpcd_out_is_held_up_locked(const struct rpcd_conn *c);
/* How long a reply is as a whole: before it is put in. */
void rpcd_out_seal(struct rpcd_reply *r);
/* Puts in a reply; false if nobody will ever get it. */
MUST_USE bool rpcd_out_add_locked(struct rpcd_conn *c, struct rpcd_reply *r);
/* Becomes the sender, if nobody is and there may be something to do: then rpcd_out_flush() is to be
 * called. */
MUST_USE bool rpcd_out_begin_locked(struct rpcd_conn *c);
/* The sender's: sends what there is, until the socket is full, or it is enough: then the loop is
 * told at once that there is room. No lock held. */
void rpcd_out_flush(struct rpcd_conn *c);
/* Empties the queue of one that is dead, as far as nobody sends or waits: for rpcd_out_end_all(),
 * which calls their `done`, no lock held. */
struct rpcd_reply *rpcd_out_take_all_locked(struct rpcd_conn *c);
void rpcd_out_end_all(struct rpcd_reply *all);

#endif
