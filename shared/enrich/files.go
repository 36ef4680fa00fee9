package enrich

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/mailtrail/mailtrail/shared/fault"
	"github.com/mailtrail/mailtrail/shared/forensic"
)

// atOnce is how many files of one message are read at a time; all of them are in one mailbox.
const atOnce = 4

// files describes every attachment of the message, and after them those that only the audit record names. Unless unhashed says why
// not, files are hashed. In the last attempt files fails no more, and a file that could not be read says why.
func (a *Agent) files(ctx context.Context, t task, f found, attached []Attached, unhashed forensic.Reason) ([]forensic.Attachment, error) {
	of := match(t.message.Files, attached)
	list := make([]forensic.Attachment, len(attached))
	failures := make([]error, len(attached))
	var all sync.WaitGroup
	next := make(chan int)
	for range min(atOnce, len(attached)) {
		all.Go(func() {
			for i := range next {
				list[i], failures[i] = a.file(ctx, t, f, attached[i], unhashed)
			}
		})
	}
	for i := range attached {
		next <- i
	}
	close(next)
	all.Wait()
	if err := worst(failures); err != nil {
		return nil, err
	}
	named := make([]bool, len(t.message.Files))
	for i := range list {
		if list[i].Record = of[i]; of[i] < 0 {
			list[i].Missing = forensic.NotInRecord
		} else {
			named[of[i]] = true
		}
	}
	for i, file := range t.message.Files {
		if !named[i] {
			list = append(list, forensic.Attachment{
				Record: i, Missing: forensic.NotInMessage, Name: file.Name, StoredSize: file.StoredSize, Size: -1, NoHash: forensic.NotInMessage,
			})
		}
	}
	return list, nil
}

// worst is the failure that asks for the longest wait.
func worst(failures []error) (err error) {
	for _, f := range failures {
		if f != nil && (err == nil || fault.Wait(f) > fault.Wait(err)) {
			err = f
		}
	}
	return err
}

// file describes one attachment. What an earlier attempt of this process has read of the same message is not read again.
func (a *Agent) file(ctx context.Context, t task, f found, at Attached, unhashed forensic.Reason) (forensic.Attachment, error) {
	made := forensic.Attachment{
		ID: at.ID, Name: at.Name, ContentType: at.ContentType, Kind: at.Kind, Inline: at.Inline, StoredSize: at.StoredSize, Size: -1,
		NoHash: unhashed,
	}
	switch {
	case at.Kind == forensic.ItemKind:
		// Exchange writes an attached message anew at each download, with other bytes each time: a hash of it would match nothing.
		made.NoHash = forensic.ItemAttached
		return made, nil
	case unhashed != "" && at.Kind != forensic.ReferenceKind:
		return made, nil
	}
	key := keyOf(t.message)
	if done, ok := a.progress.of(key, at.ID); ok {
		return done, nil
	}
	var err error
	if at.Kind == forensic.ReferenceKind {
		err = a.reference(ctx, t, f, &made)
	} else {
		err = a.attachment(ctx, t, f, &made)
	}
	if err != nil && t.last && ctx.Err() == nil {
		made.NoHash, _ = unfound(err)
		return made, nil
	}
	if err != nil {
		return made, err
	}
	a.progress.keep(key, at.ID, made)
	return made, nil
}

// attachment hashes a file of the message.
func (a *Agent) attachment(ctx context.Context, t task, f found, made *forensic.Attachment) error {
	return a.read(ctx, t, f.mailbox, made, made.StoredSize, func(ctx context.Context) (io.ReadCloser, string, error) {
		return a.config.Graph.OpenAttachment(ctx, t.tenant, f.mailbox, f.mail.ID, made.ID)
	})
}

// reference finds the file behind a link, and hashes it. What cannot be reached is no failure: links lead anywhere.
func (a *Agent) reference(ctx context.Context, t task, f found, made *forensic.Attachment) error {
	err := a.ask(ctx, t, f.mailbox, func(ctx context.Context) (err error) {
		made.URL, err = a.config.Graph.Source(ctx, t.tenant, f.mailbox, f.mail.ID, made.ID)
		return err
	})
	if err != nil || made.URL == "" {
		return unreached(made, err)
	}
	var shared SharedFile
	err = a.ask(ctx, t, "", func(ctx context.Context) (err error) {
		shared, err = a.config.Graph.ResolveShared(ctx, t.tenant, made.URL)
		return err
	})
	if err != nil || shared.Folder {
		return unreached(made, err)
	}
	made.QuickXor, made.Size = shared.QuickXor, shared.Size
	if made.NoHash != "" {
		return nil
	}
	err = a.read(ctx, t, "", made, shared.Size, func(ctx context.Context) (io.ReadCloser, string, error) {
		return a.config.Graph.OpenShared(ctx, t.tenant, shared)
	})
	if err != nil {
		return unreached(made, err)
	}
	return nil
}

// unreached says why a reference has no hash, when trying again is useless.
func unreached(made *forensic.Attachment, err error) error {
	if err != nil && again(err) {
		return err
	}
	if made.NoHash == "" {
		made.NoHash = forensic.NotReachable
	}
	if errors.Is(err, ErrNotPermitted) {
		made.NoHash = forensic.NoPermission
	}
	return nil
}

// read hashes what open opens. When the length is not what the listing lets expect, the file is read once more, and taken only if both
// times it was the same: listings err, but so do proxies that end a stream too early, or put a page of their own in its place.
func (a *Agent) read(ctx context.Context, t task, mailbox string, made *forensic.Attachment, stored int64, open opening) error {
	var s sum
	err := a.ask(ctx, t, mailbox, func(ctx context.Context) error {
		var err error
		if s, err = a.once(ctx, made, stored, open); err != nil || plausible(s.size, stored) {
			return err
		}
		again, err := a.once(ctx, made, stored, open)
		if err == nil && again != s {
			err = &fault.Error{Kind: fault.Retry, Err: errors.New("a file had other bytes when it was read once more")}
		}
		return err
	})
	switch {
	case errors.Is(err, errTooLarge):
		made.NoHash = forensic.TooLarge
		return nil
	case err != nil:
		return err
	}
	made.Size, made.MD5, made.SHA256, made.ByBytes = s.size, s.md5, s.sha256, s.media
	return nil
}

// opening opens a file, and tells what its answer calls itself.
type opening func(context.Context) (body io.ReadCloser, contentType string, err error)

func (a *Agent) once(ctx context.Context, made *forensic.Attachment, stored int64, open opening) (sum, error) {
	body, contentType, err := open(ctx)
	if err != nil {
		return sum{}, err
	}
	defer body.Close()
	if isPage(contentType) && !isPage(made.ContentType) && made.Kind == forensic.FileKind {
		return sum{}, &fault.Error{Kind: fault.Retry, Err: fmt.Errorf("open an attachment: %w: a page came in its place", ErrNotAFile)}
	}
	s, err := a.hash(body)
	if err == nil && isPage(contentType) && !plausible(s.size, stored) {
		err = &fault.Error{Kind: fault.Retry, Err: fmt.Errorf("read an attachment: %w: a page of another length came in its place", ErrNotAFile)}
	}
	return s, err
}

// isPage tells a web page by its content type. Graph sends a file with the type that the listing has.
func isPage(contentType string) bool {
	media, _, _ := strings.Cut(contentType, ";")
	media = strings.ToLower(strings.TrimSpace(media))
	return media == "text/html" || media == "application/xhtml+xml"
}

// overhead is how many bytes Graph's "size" may have more than the file: name and properties. 48 to 237 were seen.
const overhead = 16 << 10

// plausible tells whether a file of so many bytes can have that stored size. Nothing is known about -1.
func plausible(size, stored int64) bool {
	return stored < 0 || size <= stored && stored-size <= overhead
}
