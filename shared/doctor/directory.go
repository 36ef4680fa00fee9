package doctor

import (
	"context"
	"errors"

	"github.com/mailtrail/mailtrail/shared/people"
)

// Sample is what a page of the directory measures.
type Sample struct {
	People, Bytes, Plans int
	More                 bool           // there is a next page
	Returned             map[string]int // how many people came with a property that was selected, null included
}

// directory measures pages of the sizes that the census may ask for.
func (e *examination) directory(ctx context.Context) {
	const (
		readable = "the directory can be read"
		sized    = "a page of the directory holds as many people as were asked for"
		selected = "$select returns every property that was asked for"
	)
	var read, short, large, filled int
	var last Sample
	given := map[string]int{}
	for _, size := range []int{50, 200, 999} {
		s, err := e.SamplePeople(ctx, e.tenant, size)
		switch {
		case errors.Is(err, people.ErrTooLarge):
			large++
			given[count("asked for %d: people given, before it was too large or too slow", size)] = 0
			continue
		case err != nil:
			e.failed(readable, err)
			return
		}
		read++
		last = s
		given[count("asked for %d: people given", size)] = s.People
		switch {
		case s.People >= size:
			filled = size
		case s.More:
			short++
		}
	}
	if read == 0 {
		e.found(readable, Fails, "Every page was too large, or took too long, even one of 50 people.")
		return
	}
	each := max(last.People, 1)
	e.found(readable, Holds, "On average a person takes %d bytes and has %.1f plans.",
		last.Bytes/each, float64(last.Plans)/float64(each))
	switch {
	case large+short > 0:
		e.found(sized, Fails, "%d of 3 sizes were too large or too slow, and %d gave fewer people.", large, short)
	case filled == 0:
		e.found(sized, NotSeen, "The directory has too few people to fill a page of 50.")
	default:
		e.found(sized, Holds, "The largest page that was filled is one of %d.", filled)
	}
	e.count(given)

	missing := 0
	for _, n := range last.Returned {
		if n < last.People {
			missing++
		}
	}
	switch {
	case last.People == 0:
		e.found(selected, NotSeen, "The page is empty.")
	case missing > 0:
		e.found(selected, Fails, "%d of %d properties were left out for some people.", missing, len(last.Returned))
	default:
		e.found(selected, Holds, "All %d properties came for all of %d people.", len(last.Returned), last.People)
	}
	e.count(last.Returned)
}
