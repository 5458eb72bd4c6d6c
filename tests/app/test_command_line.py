#!/usr/bin/env python3
"""Options, help, messages and exit codes, seen from outside."""
import subprocess

from program import MODEL, THRESHER, TREE, ProgramTest, documents, main, run


class CommandLine(ProgramTest):
    def test_help(self):
        for words in (['--help'], ['-h'], ['help'], ['help', 'score'], ['score', '--help'], ['import', '-h']):
            done = self.succeed(*words)
            self.assertEqual(done.stderr, '')
            self.assertTrue(all(len(line) < 80 for line in done.stdout.split('\n')), done.stdout)
        self.assertRegex(self.succeed('--version').stdout, r'^thresher \d+\.\d+\.\d+\n$')
        self.assertIn('no command', run().stderr)
        self.assertEqual(run().returncode, 64)

    def test_absent_commands(self):
        overview = self.succeed('--help').stdout
        for name in ('embed', 'classify', 'generate', 'optimise'):
            self.assertNotIn(f'\n  {name} ', overview)
            self.refuse(64, 'unknown command', name)

    def test_nearest_names(self):
        self.refuse(64, "did you mean 'score'?", 'scor')
        self.refuse(64, "did you mean '--corpus'?", 'score', '--corpsu', 'x')

    def test_all_problems_at_once(self):
        done = self.refuse(64, '4 problems', 'score', '--stride', '9', '--window', '8', '--dtype', 'int3', '--model', 'm')
        for part in ('--corpus is missing', '--output is missing', '--dtype', '--stride 9'):
            self.assertIn(part, done.stderr)

    def test_problems_are_told_once_under_mpirun(self):
        done = self.refuse(64, '--model is missing', 'score', '--corpus', 'x', '--output', self.folder / 'out', ranks=3)
        self.assertFalse((self.folder / 'out').exists(), done.stderr)

    def test_options_that_contradict_each_other(self):
        needed = ['score', '--model', MODEL, '--corpus', 'x.jsonl', '--output', self.folder / 'out']
        for more, message in ((['--context-field', 'a'], 'belong together'),
                              (['--stride', 4, '--prefix-token', 'eos'], '--stride has no meaning'),
                              (['--bos', 'never', '--prefix-token', 'eos'], 'cannot be combined'),
                              (['--separator', '%', '--format', 'lines'], '--separator needs'),
                              (['--layout', 'dp=2'], 'mpirun -n 2'),
                              (['--layout', 'dp'], 'write for example dp=2,pp=2,tp=1')):
            with self.subTest(more=more):
                self.refuse(64, message, *needed, *more)

    def test_what_this_build_lacks(self):
        needed = ['score', '--model', MODEL, '--corpus', 'x', '--output', self.folder / 'out']
        self.refuse(64, '--share-gpus is for --device cuda', *needed, '--share-gpus')

    def test_wrong_launcher(self):
        needed = ['score', '--model', MODEL, '--corpus', 'x', '--output', self.folder / 'out']
        self.refuse(78, '--mpi=pmix', *needed, env={'SLURM_STEP_ID': '0', 'SLURM_STEP_NUM_TASKS': '4'})

    def test_one_rank_that_fails_alone_ends_the_job(self):
        corpus = self.write_jsonl('c.jsonl', documents(3, 1))

        def score(model, *more):
            return [THRESHER, 'score', '--model', str(model), '--corpus', str(corpus), '--output',
                    str(self.folder / 'out'), *more]

        nowhere = self.folder / 'nowhere'
        for bad, code, message in ((score(MODEL, '--window', '0'), 64, '--window'),
                                   (score(nowhere), 66, 'nowhere')):
            with self.subTest(message):
                done = subprocess.run(['mpirun', '-n', '1', *score(MODEL), ':', '-n', '1', *bad], capture_output=True,
                                      text=True, timeout=120, check=False)
                self.assertEqual(done.returncode, code, done.stderr)
                self.assertIn(message, done.stderr)

    def test_missing_files(self):
        out = self.folder / 'out'
        corpus = self.write_jsonl('c.jsonl', documents(3, 1))
        self.refuse(66, 'nowhere', 'import', '--input', self.folder / 'nowhere', '--output', self.folder / 'c.h5')
        self.refuse(66, 'nowhere', 'score', '--model', self.folder / 'nowhere', '--corpus', corpus, '--output', out)
        self.refuse(66, 'nowhere', 'score', '--model', MODEL, '--corpus', self.folder / 'nowhere.h5', '--output', out)
        self.refuse(66, 'nowhere', 'inspect', self.folder / 'nowhere')
        self.refuse(66, 'nowhere', 'export', self.folder / 'nowhere', '--to', 'csv')
        self.refuse(66, 'nowhere', 'score', '--job', self.folder / 'nowhere.conf')

    def test_output_that_cannot_be_created(self):
        corpus = self.write_jsonl('c.jsonl', documents(3, 1))
        self.refuse(73, 'c.jsonl', 'score', '--model', MODEL, '--corpus', corpus, '--output', corpus / 'run')
        foreign = self.folder / 'foreign'
        foreign.mkdir()
        (foreign / 'letter.txt').write_text('not yours')
        self.refuse(73, 'foreign', 'score', '--model', MODEL, '--corpus', corpus, '--output', foreign, '--fresh')
        self.assertEqual((foreign / 'letter.txt').read_text(), 'not yours')

    def test_job_file(self):
        corpus = self.write_jsonl('c.jsonl', documents(5, 1))
        job = self.folder / 'a.conf'
        job.write_text(f'# a job\nmodel = {MODEL}\ncorpus = {corpus}\nper-token = on\ndtype = bf16\n')
        self.succeed('score', '--job', job, '--dtype', 'f32', '--output', self.folder / 'out')
        options = self.run_options()
        self.assertEqual((options['dtype'], options['per-token']), ('f32', 'on'))
        job.write_text(f'model = {MODEL}\ncorpus = {corpus}\n\nper-tokn = on\n')
        self.refuse(64, f"{job}:4: unknown option '--per-tokn'; did you mean '--per-token'?", 'score', '--job', job,
                  '--output', self.folder / 'out')

    def test_example_job_files(self):
        examples = sorted((TREE / 'jobs').glob('*.conf'))
        self.assertGreaterEqual(len(examples), 2)
        for example in examples:
            done = self.refuse(64, '3 problems', 'score', '--job', example)
            for name in ('model', 'corpus', 'output'):
                self.assertIn(f'--{name} is missing', done.stderr)

    def run_options(self):
        import json
        return json.loads((self.folder / 'out' / 'run.json').read_text())['options']

    def test_locales(self):
        corpus = self.write_jsonl('c.jsonl', documents(5, 1))
        outputs = []
        for name in ('C', 'tr_TR.UTF-8', 'de_DE.UTF-8', ''):
            out = self.folder / f'out-{name}'
            self.succeed('score', '--model', MODEL, '--corpus', corpus, '--output', out, '--progress-every', '0.5',
                         env={'LC_ALL': name, 'LANG': name})
            exported = self.succeed('export', out, '--to', 'csv', env={'LC_ALL': name}).stdout
            outputs.append(((out / 'results.h5').read_bytes(), exported))
        self.assertEqual(len(set(outputs)), 1)

    def test_reader_that_goes_away(self):
        corpus = self.write_jsonl('c.jsonl', documents(5, 1))
        self.succeed('score', '--model', MODEL, '--corpus', corpus, '--output', self.folder / 'out')
        with subprocess.Popen([THRESHER, 'export', self.folder / 'out', '--to', 'csv'], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE) as process:
            process.stdout.close()
            self.assertIn(process.wait(), (0, 74))
            self.assertEqual(process.stderr.read(), b'')

    def test_full_disk_behind_standard_output(self):
        corpus = self.write_jsonl('c.jsonl', documents(5, 1))
        self.succeed('score', '--model', MODEL, '--corpus', corpus, '--output', self.folder / 'out')
        with open('/dev/full', 'w', encoding='utf-8') as full:
            done = subprocess.run([THRESHER, 'export', self.folder / 'out', '--to', 'csv'], stdout=full,
                                  stderr=subprocess.PIPE, text=True, check=False)
        self.assertEqual(done.returncode, 74)
        self.assertIn('No space left', done.stderr)


if __name__ == '__main__':
    main()
