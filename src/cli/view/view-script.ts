/**
 * The one script of the pages: how far the restoring is, from the server's events. Without it the page says to load it
 * again. What is read aloud changes by whole tens of percent only.
 */
export const restoreScript = `'use strict'
const bar = document.getElementById('bar')
const text = document.getElementById('how-far')
const title = document.title
let said = ''
const mebibytes = (bytes) => Math.floor(bytes / 1048576).toLocaleString('en') + ' MiB'
const left = (seconds) =>
  seconds < 60 ? seconds + ' s left'
    : seconds < 3600 ? Math.ceil(seconds / 60) + ' min left'
    : Math.floor(seconds / 3600) + ' h ' + Math.ceil((seconds % 3600) / 60) + ' min left'
const words = { copy: 'writing', write: 'writing', verify: 'reading back', flush: 'flushing' }
const events = new EventSource('events')
events.onmessage = ({ data }) => {
  const { state, phase, done, total, bytesPerSecond, secondsLeft } = JSON.parse(data)
  if (state !== 'writing' && state !== 'planning') {
    events.close()
    location.reload()
    return
  }
  if (phase === undefined) return
  const known = total > 0
  const percent = known ? Math.min(99, Math.floor((done / total) * 100)) : undefined
  if (known) bar.value = percent
  else bar.removeAttribute('value')
  const word = words[phase] ?? phase
  const parts = [word, mebibytes(done) + (known ? ' of ' + mebibytes(total) : '')]
  if (bytesPerSecond !== undefined) parts.push(mebibytes(bytesPerSecond) + '/s')
  if (secondsLeft !== undefined) parts.push(left(secondsLeft))
  document.title = (known ? percent + ' % ' : '') + title
  bar.title = parts.join(', ')
  const step = word + (known ? Math.floor(percent / 10) : '')
  text.setAttribute('aria-live', step === said ? 'off' : 'polite')
  said = step
  text.textContent = parts.join(', ')
}
events.onerror = () => {
  text.setAttribute('aria-live', 'assertive')
  text.textContent = 'The connection to vdisk is lost: look at the terminal that it runs in.'
}
`
