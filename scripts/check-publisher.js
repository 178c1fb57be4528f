// Says what a publisher has still to fill in; `npm publish` and the release workflow run it first:
//
//   node scripts/check-publisher.js [--write] [FOLDER]
//
// The one place is package.json: author, repository, homepage, bugs. --write copies them to the packages in plugins/
// and to the pages that name the repository. Ends with 1 while anything is missing. CONTRIBUTING.md, "Releasing",
// explains.
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const fields = ['author', 'repository', 'homepage', 'bugs']
const readJson = (path) => JSON.parse(readFileSync(path, 'utf8'))
const isAddress = (text) => typeof text === 'string' && /^https:\/\/[^/\s.]+\.[^/\s]+/.test(text)
const personOf = (author) => {
  if (typeof author !== 'string') return author ?? {}
  const [, name, email] = /^([^<(]+?)\s*(?:<([^>]+)>)?\s*(?:\(.*\))?$/.exec(author) ?? []
  return { name, email }
}

/** `owner/name` of a repository at GitHub, however package.json spells it; undefined for any other. */
const nameOnGitHub = (repository) => {
  const text = typeof repository === 'string' ? repository : (repository?.url ?? '')
  return /^(?:github:|(?:git\+)?(?:https|ssh):\/\/(?:git@)?github\.com\/)?([\w.-]+\/[\w.-]+?)(?:\.git)?$/.exec(
    text,
  )?.[1]
}

/** What is wrong in package.json itself. */
function ownFaults(package_) {
  const { name, email } = personOf(package_.author)
  const bugs = typeof package_.bugs === 'string' ? { url: package_.bugs } : (package_.bugs ?? {})
  return [
    ...((name ?? '') === '' ? ['author: a name, of a person or a group'] : []),
    ...(/^[^@\s]+@[^@\s]+\.[^@\s]+$/.test(email ?? '')
      ? []
      : ['author: an address of mail, for security reports and Debian']),
    ...(nameOnGitHub(package_.repository) === undefined
      ? ['repository: {"type": "git", "url": "git+https://github.com/OWNER/NAME.git"}']
      : []),
    ...(isAddress(package_.homepage) ? [] : ['homepage: an https:// address, of the site or the repository']),
    ...(isAddress(bugs.url) ? [] : ['bugs: {"url": "https://…"}, where faults are reported']),
  ].map((text) => `package.json: ${text}`)
}

/** The packages beside this one that are published too, and what each should hold. */
function pluginsOf(folder, package_) {
  const plugins = join(folder, 'plugins')
  if (!existsSync(plugins)) return []
  return readdirSync(plugins)
    .map((name) => ({ name, path: join(plugins, name, 'package.json') }))
    .filter(({ path }) => existsSync(path) && readJson(path).private !== true)
    .map(({ name, path }) => {
      const { author, bugs } = package_
      const github = nameOnGitHub(package_.repository)
      const wanted = {
        author,
        repository: { type: 'git', url: `git+https://github.com/${github}.git`, directory: `plugins/${name}` },
        homepage: `https://github.com/${github}/tree/main/plugins/${name}#readme`,
        bugs,
      }
      return { path, name: `plugins/${name}/package.json`, wanted }
    })
}

/** Pages that name the repository: `OWNER/vdisk@v0` as it was never filled in. */
const pages = ['docs/installing.md']
const placeholder = /\bOWNER\/[\w.-]+(?=@)/g

/** What has still to be done in a folder, a line each; with `write`, what can be copied is copied first. */
function faultsOf(folder, write) {
  const package_ = readJson(join(folder, 'package.json'))
  const own = ownFaults(package_)
  // What is copied is copied from fields that are right.
  if (own.length > 0) return own
  const faults = []
  for (const { path, name, wanted } of pluginsOf(folder, package_)) {
    const plugin = readJson(path)
    const wrong = fields.filter((field) => JSON.stringify(plugin[field]) !== JSON.stringify(wanted[field]))
    if (wrong.length === 0) continue
    if (write) writeFileSync(path, `${JSON.stringify({ ...plugin, ...wanted }, undefined, 2)}\n`)
    else faults.push(`${name}: ${wrong.join(', ')} (--write copies them)`)
  }
  for (const page of pages) {
    const text = readFileSync(join(folder, page), 'utf8')
    if (text.search(placeholder) < 0) continue
    if (write) writeFileSync(join(folder, page), text.replaceAll(placeholder, nameOnGitHub(package_.repository)))
    else faults.push(`${page}: OWNER (--write fills it in)`)
  }
  if (!readFileSync(join(folder, 'CHANGELOG.md'), 'utf8').includes(`\n## ${package_.version}`))
    faults.push(`CHANGELOG.md: a heading "## ${package_.version}" in place of "## Unreleased"`)
  return faults
}

const words = process.argv.slice(2)
const folder = words.find((word) => !word.startsWith('-')) ?? fileURLToPath(new URL('..', import.meta.url))
const faults = faultsOf(folder, words.includes('--write'))
if (faults.length === 0) process.stdout.write('Everything that a publisher fills in is there.\n')
else process.stdout.write(`To fill in before publishing:\n${faults.map((fault) => `  ${fault}\n`).join('')}`)
process.exitCode = faults.length === 0 ? 0 : 1
