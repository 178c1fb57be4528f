// A reporter of Node's test runner that writes one line for every test that was skipped or is still to be done, and
// for every warning of Node's own: of too many listeners, of a rejection that nobody handled.
export default async function* skippedReporter(source) {
  for await (const { type, data } of source) {
    if (type === 'test:stderr' && /^\(node:\d+\)/m.test(data.message)) yield `  ${data.file ?? ''}: ${data.message}`
    if (type !== 'test:pass' && type !== 'test:fail') continue
    const mark = data.skip ?? data.todo
    if (mark !== undefined && mark !== false)
      yield `  ${data.file ?? ''}: ${data.name}${typeof mark === 'string' ? ` (${mark})` : ''}\n`
  }
}
