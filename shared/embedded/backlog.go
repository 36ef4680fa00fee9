package embedded

import (
	"container/heap"
)

// backlog is what memory holds of a queue: which messages are ready, group by group, and which will be when. Its owner
// locks it.
type backlog struct {
	groups map[string]*group
	turns  fifo[*group] // groups that have a ready message and may have one more in flight
	timed  timed        // delayed and in flight
	// known are messages that were delivered and are not done: those that receipts may name.
	known    map[uint64]*message
	waiting  int // messages, wherever they are
	inFlight int
	perGroup int // most messages of a group in flight; 0 is no bound
	// most is how often a message is delivered before it dies; 0 is for ever.
	most int
}

// group is the messages of one group. It is forgotten when it has none.
type group struct {
	name     string
	ready    fifo[*message]
	messages int
	inFlight int
	inTurns  bool
}

// adopt takes in a message that is durable. It becomes ready when it is due.
func (b *backlog) adopt(m *message, name string) {
	g := b.groups[name]
	if g == nil {
		g = &group{name: name}
		b.groups[name] = g
	}
	g.messages++
	b.waiting++
	m.group, m.state = g, delayed
	if m.deliveries > 0 {
		b.known[m.id] = m
	}
	heap.Push(&b.timed, m)
}

// advance makes ready what is due, and returns what dies instead, which the caller forgets or makes ready.
func (b *backlog) advance(now int64) (dying []*message) {
	for len(b.timed) > 0 && b.timed[0].due <= now {
		m := b.timed[0]
		b.leaveTimed(m)
		if b.most > 0 && m.receives() >= b.most {
			dying = append(dying, m)
			b.forget(m)
			continue
		}
		m.state = ready
		m.group.ready.push(m)
		b.offer(m.group)
	}
	return dying
}

// leaveTimed takes a message out of the heap.
func (b *backlog) leaveTimed(m *message) {
	heap.Remove(&b.timed, int(m.place))
	if m.state == inFlight {
		m.group.inFlight--
		b.inFlight--
		b.offer(m.group)
	}
}

// offer gives a group its turn, if it has something to deliver and none of its own.
func (b *backlog) offer(g *group) {
	if !g.inTurns && g.ready.len() > 0 && (b.perGroup == 0 || g.inFlight < b.perGroup) {
		g.inTurns = true
		b.turns.push(g)
	}
}

// take puts up to most ready messages in flight until due, one of each group in turn.
func (b *backlog) take(most int, due int64) []*message {
	var taken []*message
	for len(taken) < most && b.turns.len() > 0 {
		g := b.turns.pop()
		g.inTurns = false
		for g.ready.len() > 0 {
			m := g.ready.pop()
			if m.state == gone {
				continue
			}
			m.state, m.due = inFlight, due
			m.deliveries++
			b.known[m.id] = m
			heap.Push(&b.timed, m)
			g.inFlight++
			b.inFlight++
			taken = append(taken, m)
			break
		}
		b.offer(g)
	}
	return taken
}

// delivered returns the message whose last delivery has that number, or nil: it is done, dead, or was delivered again.
func (b *backlog) delivered(id uint64, delivery uint32) *message {
	if m := b.known[id]; m != nil && m.deliveries == delivery {
		return m
	}
	return nil
}

// remove takes a delivered message out, wherever it is.
func (b *backlog) remove(m *message) {
	if m.state == ready {
		m.state = gone
	} else {
		b.leaveTimed(m)
	}
	b.forget(m)
}

// forget is the end of a message that is not in the heap any more.
func (b *backlog) forget(m *message) {
	delete(b.known, m.id)
	b.waiting--
	if m.group.messages--; m.group.messages == 0 {
		delete(b.groups, m.group.name)
	}
}

// hide sets when a message in flight comes back.
func (b *backlog) hide(m *message, due int64) {
	m.due = due
	heap.Fix(&b.timed, int(m.place))
}

// timed is a heap of messages by when they are due, of which the first sent come first.
type timed []*message

func (t timed) Len() int { return len(t) }

func (t timed) Less(i, j int) bool {
	if t[i].due != t[j].due {
		return t[i].due < t[j].due
	}
	return t[i].id < t[j].id
}

func (t timed) Swap(i, j int) {
	t[i], t[j] = t[j], t[i]
	t[i].place, t[j].place = int32(i), int32(j)
}

// Push implements heap.Interface.
func (t *timed) Push(x any) {
	m := x.(*message)
	m.place = int32(len(*t))
	*t = append(*t, m)
}

// Pop implements heap.Interface.
func (t *timed) Pop() any {
	last := len(*t) - 1
	m := (*t)[last]
	(*t)[last] = nil
	*t = (*t)[:last]
	return m
}

// fifo is a list that is filled at its end and emptied from its start. Its zero value is empty.
type fifo[T any] struct {
	items []T
	head  int
}

func (f *fifo[T]) len() int { return len(f.items) - f.head }

func (f *fifo[T]) push(item T) {
	if f.head > 32 && f.head > len(f.items)/2 {
		kept := copy(f.items, f.items[f.head:])
		clear(f.items[kept:])
		f.items, f.head = f.items[:kept], 0
	}
	f.items = append(f.items, item)
}

func (f *fifo[T]) pop() T {
	var none T
	item := f.items[f.head]
	f.items[f.head] = none
	if f.head++; f.head == len(f.items) {
		f.items, f.head = nil, 0
	}
	return item
}
