package userauth

import "time"

// maxWait is when a try has taken so long that no wait can hide anything, as in
// sshd (MAX_FAIL_DELAY_SECONDS).
const maxWait = 5 * time.Second

// wait makes a failure last at least the user's minimum, so that its time says
// little about what was looked up (OpenSSH's ensure_minimum_time_since).
func (s *server) wait(began time.Time) {
	if s.cfg.MinimumTime == nil {
		return
	}
	d := remaining(s.cfg.MinimumTime(plainName(s.user)), s.now().Sub(began))
	if d <= 0 {
		return
	}
	if s.cfg.Sleep != nil {
		s.cfg.Sleep(d)
		return
	}
	time.Sleep(d)
}

// remaining is how long to wait after elapsed: up to least, doubled as often as
// it takes to lie ahead. A try that took more than maxWait waits no more.
func remaining(least, elapsed time.Duration) time.Duration {
	if least <= 0 || elapsed > maxWait {
		return 0
	}
	for least < elapsed {
		least *= 2
	}
	return least - elapsed
}

func (s *server) now() time.Time {
	if s.cfg.Now != nil {
		return s.cfg.Now()
	}
	return time.Now()
}
