package ipc

import (
	"errors"
	"sync"
	"testing"
)

// TestConversation: after the last word of a connection nothing is said of it, whatever
// its goroutines try.
func TestConversation(t *testing.T) {
	a, b := pair(t, 1<<10)
	const connection, speakers = 7, 8
	over := make(chan struct{})
	late := 0
	go func() {
		defer close(over)
		ended := false
		_ = b.Serve(func(f *Frame) {
			switch {
			case f.Connection != connection || ended:
				late++
			case f.Method == Ended:
				ended = true
			case f.WantsAnswer():
				_ = b.Answer(f, nil)
			}
		})
	}()
	go func() { _ = a.Serve(func(*Frame) {}) }()
	c := NewConversation(a, connection)
	var speaking, begun sync.WaitGroup
	begun.Add(speakers)
	for i := range speakers {
		speaking.Go(func() {
			for said := 0; ; said++ {
				var err error
				if i%2 == 0 {
					err = c.Note(Log, []byte("line"))
				} else {
					_, err = c.Call(Sign, nil)
				}
				if said == 0 {
					begun.Done()
				}
				if err != nil {
					if !errors.Is(err, ErrClosed) {
						t.Error(err)
					}
					return
				}
			}
		})
	}
	begun.Wait()
	if err := c.Last(Ended, nil); err != nil {
		t.Error(err)
	}
	if err := c.Last(Ended, nil); !errors.Is(err, ErrClosed) {
		t.Errorf("a second last word: %v", err)
	}
	speaking.Wait()
	a.Close()
	<-over
	if late != 0 {
		t.Errorf("%d frames after the last word", late)
	}
}
