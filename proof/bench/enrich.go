package main

import (
	"context"
	"crypto/md5"
	"crypto/sha256"
	"errors"
	"time"
)

// tenLarge is ten files of the largest size that Exchange Online accepts.
func tenLarge() post { return post{Mailboxes: 10, Messages: 1, Length: 150 << 20} }

// hash measures how fast attachments are hashed while they stream in, compared with MD5 and SHA-256 alone, both in
// processor time of one core. It also measures the memory with ten of the largest in flight.
func hash(ctx context.Context, r *report) error {
	p := tenLarge()
	room, err := openMailroom(ctx, "serve-hash", p, p.Mailboxes)
	if err != nil {
		return err
	}
	raw, err := rawHashing(512 << 20)
	if err != nil {
		return err
	}
	before, err := used()
	if err != nil {
		return err
	}
	begun := time.Now()
	if err := room.run(ctx, p.Mailboxes); err != nil {
		return err
	}
	took := time.Since(begun)
	after, err := used()
	if err != nil {
		return err
	}
	megabytes := float64(p.Length) * float64(p.Mailboxes) / (1 << 20)
	// The kernel's part, which copies data from the network, is reported beside ours.
	rate, kernel := megabytes/(after.user-before.user).Seconds(), megabytes/(after.cpu-before.cpu).Seconds()
	return errors.Join(
		r.tell("hash.raw", raw, "MB per second of one core, MD5 and SHA-256 alone"),
		r.tell("hash.stream", rate, "MB per second of one core, through the agent and HTTP"),
		r.tell("hash.kernel", kernel, "MB per second of one core, with the kernel's part of the network"),
		r.tell("hash.wall", megabytes/took.Seconds(), "MB per second of time"),
		r.atLeast("hash.ratio", rate/raw, "of the raw rate", 0.8),
		r.below("hash.memory", after.peak, "MB at the most, ten files of 150 MB in flight", 64),
		room.wait(),
	)
}

// rawHashing returns the rate of both hashes over cached bytes.
func rawHashing(bytes int) (float64, error) {
	before, err := used()
	if err != nil {
		return 0, err
	}
	chunk := make([]byte, 64<<10)
	m, h := md5.New(), sha256.New()
	for range bytes / len(chunk) {
		m.Write(chunk)
		h.Write(chunk)
	}
	after, err := used()
	return float64(bytes) / (1 << 20) / (after.cpu - before.cpu).Seconds(), err
}

const (
	callsPerMessage = 3 // find it, list what is attached, read the attachment
	callsAtATime    = 4 // in one mailbox
)

// fullMailboxes is a company of 500 mailboxes with a backlog.
func fullMailboxes() post {
	return post{Mailboxes: 500, Messages: 12, Length: 2000, Latency: time.Second}
}

// fullSpeed measures how close the agent comes to the limit of four calls at a time in each mailbox, when every call
// takes a second.
func fullSpeed(ctx context.Context, r *report) error {
	p := fullMailboxes()
	workers := p.Mailboxes * callsAtATime
	room, err := openMailroom(ctx, "serve-mailboxes", p, workers)
	if err != nil {
		return err
	}
	warm := room.calls.sum.Load()
	begun := time.Now()
	if err := room.run(ctx, workers); err != nil {
		return err
	}
	took := time.Since(begun)
	ceiling := time.Duration(p.Messages*callsPerMessage/callsAtATime) * p.Latency * time.Duration(p.Mailboxes)
	var spans time.Duration
	for _, s := range room.spans {
		spans += s.ended.Sub(s.begun)
	}
	// This uses how long calls really took: on a busy machine, that is longer than the configured latency.
	busy := time.Duration(room.calls.sum.Load() - warm)
	usage, err := used()
	return errors.Join(err,
		r.tell("mailboxes.messages", float64(p.Messages*p.Mailboxes)/took.Seconds(),
			"messages per second in 500 mailboxes, 1 s per call"),
		r.tell("mailboxes.injected", ceiling.Seconds()/spans.Seconds(),
			"of what 4 calls at a time per mailbox allow, if a call takes 1 s"),
		r.tell("mailboxes.call", busy.Seconds()/float64(p.Mailboxes*p.Messages*callsPerMessage), "s that a call took"),
		r.atLeast("mailboxes.ratio", busy.Seconds()/callsAtATime/spans.Seconds(),
			"of what 4 calls at a time per mailbox allow, as long as they took", 0.95),
		r.tell("mailboxes.cpu", usage.cpu.Seconds()/took.Seconds(), "of one core"),
		r.tell("mailboxes.memory", usage.peak, "MB at the most, 2,000 calls at a time"),
		room.wait(),
	)
}
